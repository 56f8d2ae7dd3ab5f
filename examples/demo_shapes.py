"""A synthetic data set of shapes, for demos and tests. G objects, H W map, C channels.

Circles, squares and triangles of random size, turn and color lie on noisy grounds. Where they are
crowded they cover each other and pass the edge, and what is hidden is not part of a mask; else each
is seen whole. Everything follows from the seed.
"""

import json
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageDraw

from swinkit.detection.data.objects import tight_boxes
from swinkit.detection.data.rle import encode_masks
from swinkit.errors import DataError
from swinkit.files import atomic_write

CLASS_NAMES = ("circle", "square", "triangle")
FINER = 4  # shapes are drawn this much larger and shrunk, for smooth edges
MOST_OBJECTS = {"crowded": 7, "apart": 3}
LEAST_VISIBLE = {"crowded": 0.3, "apart": 1.0}  # part of a shape; hidden more, it is not drawn
RADIUS = {"crowded": (0.07, 0.22), "apart": (0.12, 0.22)}  # part of the image's short side
MARKER = "shapes.txt"

BEYOND = 1.15  # corners lie this much farther out than a circle's edge
Corners = list[tuple[float, float]]
Spacing = Literal["crowded", "apart"]


def write_shapes(
    folder: str | Path,
    *,
    train: int = 200,
    val: int = 40,
    test: int = 40,
    size_hw: tuple[int, int] = (160, 160),
    crowded: bool = True,
    seed: int = 0,
) -> Path:
    """Write images/*.png and annotations/{train,val,test}.json in COCO's form.

    A folder that is complete already is left alone; another seed or size replaces it.

    Args:
        folder: where to write.
        train, val, test: images of each split.
        size_hw: of every image, in pixels.
        crowded: up to seven shapes, some of them hidden in part; else up to three, each whole.
        seed: decides everything; the first images of a split do not depend on their number.

    Returns:
        The folder.

    Raises:
        DataError: fewer than one training or validation image, or sides under 32 pixels.
        SwinkitError: a file cannot be written.
    """
    if min(train, val) < 1 or test < 0 or min(size_hw) < 32:
        raise DataError(
            f"shapes: {train} train, {val} val, {test} test images of {size_hw[0]}x{size_hw[1]}; "
            "train and val need one or more, and sides of 32 pixels or more"
        )
    root = Path(folder).expanduser()
    spacing: Spacing = "crowded" if crowded else "apart"
    note = f"shapes, {train} {val} {test}, {size_hw[0]}x{size_hw[1]}, {spacing}, seed {seed}\n"
    marker = root / MARKER
    if marker.is_file() and marker.read_text(encoding="utf-8") == note:
        return root
    counts = {"train": train, "val": val, "test": test}
    try:
        marker.unlink(missing_ok=True)
        (root / "images").mkdir(parents=True, exist_ok=True)
        for number, (split, count) in enumerate(counts.items()):
            _write_split(root, split, count, size_hw, spacing, (seed, number))
    except OSError as error:
        raise DataError(
            f"cannot write the shapes to {root}: {error.strerror or error}; "
            "free space or choose another folder"
        ) from error
    with atomic_write(marker) as temporary:
        temporary.write_text(note, encoding="utf-8")
    return root


def draw_shapes(
    rng: np.random.Generator, size_hw: tuple[int, int], spacing: Spacing = "crowded"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One picture: (H, W, 3) uint8, masks (G, H, W) bool, labels (G,) int64; G from 1 on."""
    image = _ground(rng, size_hw)
    masks: list[np.ndarray] = []
    labels: list[int] = []
    wanted = int(rng.integers(1, MOST_OBJECTS[spacing] + 1))
    for _ in range(4 * MOST_OBJECTS["crowded"]):
        if len(labels) == wanted:
            break
        label = int(rng.integers(len(CLASS_NAMES)))
        cover = _shape(rng, label, size_hw, spacing)
        mask = cover >= 0.5
        left = [(kept & ~mask).sum() / kept.sum() for kept in (_full(m) for m in masks)]
        if mask.sum() < 40 or min(left, default=1.0) < LEAST_VISIBLE[spacing]:
            continue
        image = _painted(rng, image, cover)
        masks = [kept & ~mask for kept in masks]
        masks.append(mask)
        labels.append(label)
    visible = [index for index, mask in enumerate(masks) if mask.sum() >= 30]
    chosen = np.array([masks[index] for index in visible], bool).reshape(-1, *size_hw)
    return image, chosen, np.array([labels[index] for index in visible], np.int64)


def _full(mask: np.ndarray) -> np.ndarray:
    """What is visible of a shape, or one pixel, so that nothing is divided by zero."""
    return mask if mask.any() else np.ones_like(mask)


def _ground(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Coarse blobs of color under fine noise."""
    base = rng.uniform(40, 215, 3)
    cells = rng.normal(0, 18, (6, 6, 3)) + base
    coarse = Image.fromarray(np.clip(cells, 0, 255).astype(np.uint8))
    smooth = np.asarray(coarse.resize(size_hw[::-1], Image.Resampling.BICUBIC), np.float64)
    return np.clip(smooth + rng.normal(0, 10, (*size_hw, 3)), 0, 255).astype(np.uint8)


def _shape(
    rng: np.random.Generator, label: int, size_hw: tuple[int, int], spacing: Spacing
) -> np.ndarray:
    """Part of each pixel (H, W) that a random shape covers, 0 to 1."""
    height, width = size_hw
    radius = float(rng.uniform(*RADIUS[spacing])) * min(size_hw) * FINER
    edge = 0.0 if spacing == "crowded" else radius / FINER * BEYOND
    x = float(rng.uniform(edge, width - edge)) * FINER
    y = float(rng.uniform(edge, height - edge)) * FINER
    angle = float(rng.uniform(0, 2 * math.pi))
    canvas = Image.new("L", (width * FINER, height * FINER))
    pen = ImageDraw.Draw(canvas)
    if CLASS_NAMES[label] == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    else:
        corners = 4 if CLASS_NAMES[label] == "square" else 3
        pen.polygon(_regular(x, y, radius * BEYOND, corners, angle), fill=255)
    small = canvas.resize((width, height), Image.Resampling.BOX)
    return np.asarray(small, np.float64) / 255


def _regular(x: float, y: float, radius: float, corners: int, angle: float) -> Corners:
    turns = [angle + 2 * math.pi * corner / corners for corner in range(corners)]
    return [(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns]


def _painted(rng: np.random.Generator, image: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """The image with a shape of random color and grain, unlike the ground it lies on."""
    ground = image[cover >= 0.5].mean(axis=0)
    color = rng.uniform(0, 255, 3)
    while np.abs(color - ground).max() < 60:
        color = rng.uniform(0, 255, 3)
    grain = color + rng.normal(0, 8, image.shape)
    mixed = image * (1 - cover[:, :, None]) + np.clip(grain, 0, 255) * cover[:, :, None]
    return mixed.round().astype(np.uint8)


def _write_split(
    root: Path,
    split: str,
    count: int,
    size_hw: tuple[int, int],
    spacing: Spacing,
    seed: tuple[int, int],
) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        rng = np.random.default_rng((*seed, index))
        pixels, masks, labels = draw_shapes(rng, size_hw, spacing)
        name = f"{split}_{index:05d}.png"
        # Not synced one by one, which takes minutes on a slow disk: the marker is written last.
        Image.fromarray(pixels).save(root / "images" / name)
        number = 1 + index + 100_000 * seed[1]
        images.append({"id": number, "file_name": name, "height": size_hw[0], "width": size_hw[1]})
        for mask, label in zip(masks, labels.tolist(), strict=True):
            annotations.append(_annotation(mask, label, number, 1 + len(annotations)))
    categories = [{"id": place, "name": name} for place, name in enumerate(CLASS_NAMES, start=1)]
    values = {"images": images, "annotations": annotations, "categories": categories}
    with atomic_write(root / "annotations" / f"{split}.json") as temporary:
        temporary.write_text(json.dumps(values), encoding="utf-8")


def _annotation(mask: np.ndarray, label: int, image_id: int, number: int) -> dict[str, Any]:
    left, top, right, bottom = tight_boxes(mask[None])[0].tolist()
    size_hw = (int(mask.shape[0]), int(mask.shape[1]))
    return {
        "id": number,
        "image_id": image_id,
        "category_id": label + 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": int(mask.sum()),
        "iscrowd": 0,
        "segmentation": encode_masks(mask[None])[0].to_coco(size_hw),
    }
