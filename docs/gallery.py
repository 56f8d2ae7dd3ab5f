"""The pictures of README and docs, made by swinkit from digits and shapes: `make gallery`.

Three small networks learn for a few minutes; runs/gallery keeps them, and a second call only draws.
Nothing is downloaded, and no picture shows an image that the network has learned from.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import swinkit

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "examples"))

from demo_digits import write_digits  # noqa: E402
from demo_shapes import CLASS_NAMES, draw_shapes, write_shapes  # noqa: E402

RUNS = Path("runs/gallery")
PICTURES = DOCS / "pictures"
COLORS = ("#e4572e", "#17a398", "#7b5cd6")  # circle, square, triangle
SIDE = 96  # pixels of a drawn shapes picture


def main() -> None:
    mpl.use("Agg")
    PICTURES.mkdir(exist_ok=True)
    draw_classification(trained("digits", write_digits(RUNS / "data/digits"), "demo", epochs=10))
    shapes = write_shapes(
        RUNS / "data/shapes", train=1600, val=60, test=12, size_hw=(SIDE, SIDE), crowded=False
    )
    detector = trained("shapes", shapes, "demo_shapes", steps=2500)
    images = sorted((shapes / "images").glob("test*.png"))
    draw_detection(detector, images)
    draw_inside(detector, images[1])
    masks = write_masks(RUNS / "data/masks")
    crops = {"augmentation.crop_hw": (SIDE, SIDE), "runtime.batch_size": 8}
    segmenter = trained(
        "masks", masks, "small_segmentation", steps=900, image_size=SIDE, settings=crops
    )
    tests = sorted((masks / "test/images").glob("*.png"))
    draw_segmentation(segmenter, tests)
    draw_windows(tests[1])


def trained(name: str, data: Path, recipe: str, **options: Any) -> Path:
    """The best weights of a run; of an earlier one where there is one."""
    best = RUNS / name / "best.safetensors"
    if not best.is_file():
        swinkit.train(data, recipe=recipe, out=RUNS / name, **options)
    return best


def write_masks(root: Path) -> Path:
    """Drawn shapes as images with index masks: 0 ground, 1 circle, 2 square, 3 triangle."""
    for number, (split, count) in enumerate((("train", 300), ("val", 24), ("test", 12))):
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            rng = np.random.default_rng((5, number, index))
            pixels, objects, labels = draw_shapes(rng, (SIDE, SIDE), "crowded")
            mask = np.zeros((SIDE, SIDE), np.uint8)
            for covered, label in zip(objects, labels.tolist(), strict=True):
                mask[covered] = 1 + label
            Image.fromarray(pixels).save(root / split / "images" / f"{index:03d}.png")
            Image.fromarray(mask).save(root / split / "masks" / f"{index:03d}.png")
    (root / "classes.txt").write_text("ground\ncircle\nsquare\ntriangle\n", encoding="utf-8")
    return root


def answers(weights: Path, images: list[Path], **options: Any) -> list[Any]:
    model = swinkit.load(weights, report=None)
    return [model.predict(image, **options)[0] for image in images]


def draw_classification(weights: Path) -> None:
    """Sixteen digits with the class and its probability; a mistake in red."""
    found = sorted((RUNS / "data/digits/test").glob("*/*.png"))
    chosen = found[:: len(found) // 15][:16]
    figure, axes = plt.subplots(2, 8, figsize=(8, 2.5), layout="constrained")
    for axis, path, result in zip(axes.flat, chosen, answers(weights, chosen), strict=True):
        axis.imshow(result.image_rgb)
        right = result.label == path.parent.name
        axis.set_title(
            f"{result.label}  {result.confidence:.0%}",
            fontsize=9,
            color="black" if right else "red",
        )
        axis.axis("off")
    write(figure, "classification")


def draw_detection(weights: Path, images: list[Path]) -> None:
    """Six pictures with boxes, masks, classes and scores."""
    figure, axes = plt.subplots(2, 3, figsize=(8, 5.4), layout="constrained")
    for axis, result in zip(
        axes.flat, answers(weights, images[:6], score_threshold=0.5), strict=True
    ):
        axis.imshow(result.image_rgb)
        masks = result.to_supervision().mask
        for place, (box, name, score) in enumerate(
            zip(np.asarray(result.boxes_xyxy), result.names, np.asarray(result.scores), strict=True)
        ):
            color = COLORS[CLASS_NAMES.index(name)]
            paint = np.zeros((SIDE, SIDE, 4))
            paint[np.asarray(masks[place])] = (*mpl.colors.to_rgb(color), 0.45)
            axis.imshow(paint)
            left, top, right, bottom = box
            axis.add_patch(
                plt.Rectangle(
                    (left - 0.5, top - 0.5), right - left, bottom - top, fill=False, ec=color, lw=2
                )
            )
            axis.text(
                max(left, 0), max(top - 2, 7), f"{name} {score:.0%}", fontsize=8, color="white",
                bbox={"facecolor": color, "edgecolor": "none", "pad": 1.2},
            )  # fmt: skip
        axis.axis("off")
    write(figure, "detection")


def draw_segmentation(weights: Path, images: list[Path]) -> None:
    """Four images above the class of each pixel."""
    figure, axes = plt.subplots(2, 4, figsize=(8, 4.3), layout="constrained")
    palette = mpl.colors.ListedColormap(["#e8e8e8", *COLORS])
    for column, result in zip(axes.T, answers(weights, images[:4]), strict=True):
        column[0].imshow(result.image_rgb)
        column[1].imshow(np.asarray(result.labels), cmap=palette, vmin=0, vmax=3)
        for axis in column:
            axis.axis("off")
    patches = [
        mpl.patches.Patch(color=c, label=n) for c, n in zip(COLORS, CLASS_NAMES, strict=True)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=3, frameon=False)
    write(figure, "segmentation")


def draw_windows(path: Path) -> None:
    """Windows of a block, those of the next, and the regions of the shifted ones after the roll."""
    image = np.asarray(Image.open(path))
    token, window = 6, 4  # pixels of a token, tokens of a window
    side, shift = window * token, window * token // 2
    rolled = np.roll(image, (-shift, -shift), (0, 1))
    shown = (
        ("W-MSA: windows", image, range(0, SIDE + 1, side)),
        ("SW-MSA: shifted by half a window", image, range(shift, SIDE, side)),
        ("as computed: rolled, the seam masked", rolled, range(0, SIDE + 1, side)),
    )
    figure, axes = plt.subplots(1, 3, figsize=(8, 3), layout="constrained")
    for axis, (title, pixels, lines) in zip(axes, shown, strict=True):
        axis.imshow(pixels, extent=(0, SIDE, SIDE, 0))
        for line in lines:
            axis.axhline(line, color="white", lw=1.5)
            axis.axvline(line, color="white", lw=1.5)
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    for line in (axes[2].axhline, axes[2].axvline):
        line(SIDE - shift, color="#f5333f", lw=2, ls="--")
    write(figure, "windows")


def draw_inside(weights: Path, path: Path) -> None:
    """Six figures of the page that `swinkit explain` makes of a picture."""
    found = swinkit.explain(swinkit.load(weights, report=None), path, patch=(0.4, 0.6))
    figure, axes = plt.subplots(2, 3, figsize=(8, 5.8), layout="constrained")
    shown = {
        "Stage 1: SW-MSA after": "SW-MSA after the roll: regions A, B, C",
        "the corner": "mask of the window in the corner",
        "head 1, table": "relative position bias of a head",
        "rollout": "attention, rolled out",
        "stage 2, block 2": "receptive field after stage 2",
        ": looks": "attention of one head",
    }
    for axis, (part, title) in zip(axes.flat, shown.items(), strict=True):
        drawn = next(own for caption, own in found.figures.items() if part in caption)
        axis.imshow(drawn)
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    write(figure, "inside")


def write(figure: Any, name: str) -> None:
    """As WebP, small enough to be committed."""
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    Image.fromarray(pixels).save(PICTURES / f"{name}.webp", quality=82, method=6)
    plt.close(figure)


if __name__ == "__main__":
    main()
