"""Objects and regions drawn on a picture; boxes and masks by supervision's annotators.

Legend: N objects, K classes, H W image, h w picture.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from swinkit.errors import printable, require
from swinkit.images.fitting import resize_nearest
from swinkit.images.preprocessing import resize_pixels
from swinkit.pictures.drawing import as_fractions, class_colors, readable_on
from swinkit.settings import SizeHW

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from supervision.detection.compact_mask import CompactMask

LONG_SIDE = (900, 1600)  # pixels of a drawn picture: smaller ones are enlarged, larger ones shrunk
PAPER = 235  # gray of a picture whose pixels are not at hand
MASK_OPACITY = 0.45
SPREAD_LABELS = 120  # above this, moving labels apart moves them too far from their objects
BORDER_SHADE = 0.35  # how dark the line between two regions is
LEGEND_CLASSES = 40
LEGEND_INCHES = 2.4
DPI = 120


def draw_objects(
    image_rgb: np.ndarray | None,
    size_hw: SizeHW,
    *,
    boxes_xyxy: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    scores: np.ndarray | None = None,
    masks: "CompactMask | None" = None,
    colors_rgb: np.ndarray | None = None,
) -> np.ndarray:
    """A picture of objects, each in its class's color with its name, large ones below small ones.

    Args:
        image_rgb: (H, W, 3) uint8; None draws on gray.
        size_hw: (H, W).
        boxes_xyxy: (N, 4) in pixels.
        labels: (N,) integers, places in `class_names`.
        class_names: K names.
        scores: (N,) in 0..1, written behind the names.
        masks: N masks.
        colors_rgb: (K, 3) uint8; by default the same colors everywhere.

    Returns:
        (h, w, 3) uint8 RGB, in a size to display.
    """
    sv = require("supervision")
    picture = on_canvas(image_rgb, size_hw)
    if len(labels) == 0:
        return picture
    height, width = picture.shape[:2]
    boxes = np.asarray(boxes_xyxy, np.float64) * ([width / size_hw[1], height / size_hw[0]] * 2)
    sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = np.argsort(-sizes, kind="stable")
    colors = class_colors(len(class_names)) if colors_rgb is None else colors_rgb
    palette = _palette(colors)
    scene: np.ndarray = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)  # as supervision paints
    classes = np.asarray(labels, np.int64)[order]
    objects = sv.Detections(xyxy=boxes[order], class_id=classes)
    if masks is not None:
        objects.mask = masks[order].resize((height, width))
        scene = sv.MaskAnnotator(color=palette, opacity=MASK_OPACITY).annotate(scene, objects)
    thickness = max(1, round(max(height, width) / (500 if len(order) <= 60 else 800)))
    scene = sv.BoxAnnotator(color=palette, thickness=thickness).annotate(scene, objects)
    writer = sv.RichLabelAnnotator(
        color=palette,
        text_color=_palette(readable_on(colors)),
        font_path=_font(),
        font_size=_font_size((height, width), len(order)),
        text_padding=max(2, round(max(height, width) / 400)),
        smart_position=len(order) <= SPREAD_LABELS,
    )
    texts = [
        class_names[labels[row]] + ("" if scores is None else f" {scores[row]:.2f}")
        for row in order
    ]
    scene = writer.annotate(scene, objects, labels=texts)
    return cv2.cvtColor(np.asarray(scene), cv2.COLOR_BGR2RGB)


def draw_regions(
    image_rgb: np.ndarray | None,
    labels: np.ndarray,
    colors_rgb: np.ndarray,
    opacity: float,
) -> np.ndarray:
    """A picture under the colors of its pixels' classes, with a line where classes meet.

    Args:
        image_rgb: (H, W, 3) uint8; None gives the colors alone.
        labels: (H, W) integers; those that are no place in `colors_rgb` stay uncolored.
        colors_rgb: (K, 3) uint8.
        opacity: of the colors, 0..1.

    Returns:
        (h, w, 3) uint8 RGB, in a size to display.
    """
    picture = on_canvas(image_rgb, (labels.shape[0], labels.shape[1]))
    shown = resize_nearest(labels, (picture.shape[0], picture.shape[1]))
    known = shown < len(colors_rgb)
    colors = colors_rgb[np.where(known, shown, 0)]
    strength = opacity if image_rgb is not None else 1.0
    mixed = picture * (1 - strength) + colors * strength
    borders = np.zeros(shown.shape, bool)
    borders[:, 1:] |= shown[:, 1:] != shown[:, :-1]
    borders[1:] |= shown[1:] != shown[:-1]
    mixed[borders] *= BORDER_SHADE
    return np.where(known[:, :, None], np.rint(mixed), picture).astype(np.uint8)


def regions_figure(
    picture_rgb: np.ndarray, shares: Mapping[str, float], colors_rgb: Sequence[np.ndarray]
) -> "Figure":
    """A picture with a list of its classes, their colors and shares of the pixels beside it."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    height, width = (side / DPI for side in picture_rgb.shape[:2])
    figure = Figure(figsize=(width + LEGEND_INCHES, height), dpi=DPI)
    axes = figure.add_axes((0, 0, width / (width + LEGEND_INCHES), 1))
    axes.imshow(picture_rgb, interpolation="none", aspect="auto")
    axes.set_axis_off()
    listed = list(shares.items())[:LEGEND_CLASSES]
    handles = [
        Patch(facecolor=as_fractions(color), edgecolor="0.3", linewidth=0.5)
        for color, _ in zip(colors_rgb, listed, strict=False)
    ]
    names = [f"{name}  {share:.1%}" for name, share in listed]
    rows = max(1, len(names))
    legend = figure.legend(
        handles,
        names,
        loc="center left",
        bbox_to_anchor=(width / (width + LEGEND_INCHES), 0.5),
        frameon=False,
        fontsize=min(11, 0.55 * 72 * height / rows),
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def on_canvas(image_rgb: np.ndarray | None, size_hw: SizeHW) -> np.ndarray:
    """The image in a size to display, its aspect kept; gray where there is none."""
    longest = max(size_hw)
    wanted = min(max(longest, LONG_SIDE[0]), LONG_SIDE[1])
    height, width = (max(1, round(side * wanted / longest)) for side in size_hw)
    if image_rgb is None:
        return np.full((height, width, 3), PAPER, np.uint8)
    if image_rgb.shape[:2] == (height, width):
        return np.array(image_rgb)
    return resize_pixels(image_rgb, (height, width), "lanczos" if wanted < longest else "bicubic")


def write_lines(picture_rgb: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """A copy with lines of text in its upper left corner, white on black."""
    image = Image.fromarray(picture_rgb)
    size_hw = (picture_rgb.shape[0], picture_rgb.shape[1])
    font = ImageFont.truetype(_font(), 2 * _font_size(size_hw, len(lines)))
    pen, text = ImageDraw.Draw(image), "\n".join(map(printable, lines))
    margin = font.size // 2
    left, top, right, bottom = pen.textbbox((margin, margin), text, font=font)
    pen.rectangle((left - margin, top - margin, right + margin, bottom + margin), fill="black")
    pen.text((margin, margin), text, font=font, fill="white")
    return np.asarray(image)


def as_figure(picture_rgb: np.ndarray) -> "Figure":
    """A figure that is just this picture, pixel for pixel at its own resolution."""
    from matplotlib.figure import Figure

    height, width = picture_rgb.shape[:2]
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(picture_rgb, interpolation="none", aspect="auto")
    axes.set_axis_off()
    return figure


def _palette(colors_rgb: np.ndarray) -> Any:
    sv = require("supervision")
    return sv.ColorPalette([sv.Color(*map(int, color)) for color in colors_rgb])


def _font() -> str:
    # matplotlib brings a font with most of the world's alphabets; supervision's own has ASCII.
    from matplotlib import get_data_path

    return f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf"


def _font_size(shape_hw: SizeHW, objects: int) -> int:
    crowding = 1.0 if objects <= 30 else 0.75 if objects <= 60 else 0.6
    return max(10, round(crowding * max(shape_hw) / 70))
