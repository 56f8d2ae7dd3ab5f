"""Pictures of windows, matrices and heat on the image, as arrays; Pillow and color maps only.

Colors are those of Okabe and Ito, which people with any color vision tell apart.
Legend: H W pixels, h w tokens.
"""

import base64
import io

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from swinkit.images.fitting import resize_nearest
from swinkit.images.preprocessing import resize_pixels
from swinkit.settings import SizeHW
from swinkit.windows.layout import WindowLayout

# By region number of `region_of_slots`: the paper's figure 4 letters what the roll moves.
LETTERS = ("", "B", "C", "A")
COLORS = ((86, 180, 233), (0, 158, 115), (230, 159, 0), (204, 121, 167))
CHOSEN = (213, 94, 0)
DRAWN_SIDE = 448  # pixels of a picture's long side
MATRIX_SIDE = 196


def drawn_size(image_hw: SizeHW, side: int = DRAWN_SIDE) -> SizeHW:
    """(height, width) of a picture of an image."""
    scale = side / max(image_hw)
    return max(1, round(image_hw[0] * scale)), max(1, round(image_hw[1] * scale))


def windows_picture(
    picture_rgb: np.ndarray, layout: WindowLayout, stride: int, token_hw: SizeHW, *, rolled: bool
) -> np.ndarray:
    """The picture cut into windows, the parts that the roll moves colored and lettered.

    Args:
        picture_rgb: (H, W, 3) uint8.
        stride: pixels per token.
        token_hw: the chosen token, outlined.
        rolled: draws what attention sees, after the roll; else the image as it lies, where a
            letter's parts are still apart.
    """
    padded_hw = (layout.padded_hw[0] * stride, layout.padded_hw[1] * stride)
    canvas = np.full((*padded_hw, 3), 128, np.uint8)
    height, width = (min(a, b) for a, b in zip(picture_rgb.shape[:2], padded_hw, strict=True))
    canvas[:height, :width] = picture_rgb[:height, :width]
    shift = [side * stride for side in layout.shift_hw]
    tinted = canvas.astype(np.float32)
    for number, (rows, columns) in _wrapped(shift).items():
        tinted[rows, columns] = 0.5 * tinted[rows, columns] + 0.5 * np.array(COLORS[number])
    token = [place * stride for place in token_hw]
    if rolled:
        tinted = np.roll(tinted, [-side for side in shift], (0, 1))
        token = [(t - s) % p for t, s, p in zip(token, shift, padded_hw, strict=True)]
    size_hw = drawn_size(padded_hw)
    scale = size_hw[0] / padded_hw[0]
    drawn = Image.fromarray(resize_pixels(np.rint(tinted).astype(np.uint8), size_hw, "bicubic"))
    pen = ImageDraw.Draw(drawn)
    _lines(pen, size_hw, layout, [0, 0] if rolled else shift, stride, scale)
    _letters(pen, shift, padded_hw, scale, rolled=rolled)
    box = [token[1] * scale, token[0] * scale]
    pen.rectangle([*box, box[0] + stride * scale, box[1] + stride * scale], outline=CHOSEN, width=3)
    return np.asarray(drawn)


def _wrapped(shift: list[int]) -> dict[int, tuple[slice, slice]]:
    """The parts of the unrolled map that a roll by -shift moves, by region number."""
    down, right = shift
    parts = {
        1: (slice(down, None), slice(0, right)),
        2: (slice(0, down), slice(right, None)),
        3: (slice(0, down), slice(0, right)),
    }
    own = {1: right > 0, 2: down > 0, 3: down > 0 and right > 0}
    return {number: part for number, part in parts.items() if own[number]}


def _lines(
    pen: ImageDraw.ImageDraw,
    size_hw: SizeHW,
    layout: WindowLayout,
    offset: list[int],
    stride: int,
    scale: float,
) -> None:
    for axis in (0, 1):
        step = layout.window_hw[axis] * stride
        for place in range(offset[axis], layout.padded_hw[axis] * stride + 1, step):
            at = min(place * scale, size_hw[axis] - 1)
            ends = [0, at, size_hw[1], at] if axis == 0 else [at, 0, at, size_hw[0]]
            pen.line(ends, fill=(0, 0, 0), width=3)
            pen.line(ends, fill=(255, 255, 255), width=1)


def _letters(
    pen: ImageDraw.ImageDraw, shift: list[int], padded_hw: SizeHW, scale: float, *, rolled: bool
) -> None:
    for number, parts in _wrapped(shift).items():
        center = []
        for axis, part in enumerate(parts):
            first, last = part.start, part.stop or padded_hw[axis]
            middle = (first + last) / 2
            if rolled:
                middle = (middle - shift[axis]) % padded_hw[axis]
            center.append(middle * scale)
        pen.text(
            (center[1], center[0]), LETTERS[number], fill=(255, 255, 255), anchor="mm",
            font=ImageFont.load_default(24), stroke_width=3, stroke_fill=(0, 0, 0),
        )  # fmt: skip


def colored(
    values: Tensor,
    *,
    lowest: float | None = None,
    highest: float | None = None,
    colors: str = "viridis",
) -> np.ndarray:
    """(h, w, 3) uint8 of (h, w) numbers, from the lowest to the highest."""
    numbers = values.detach().float().numpy()
    low = float(numbers.min()) if lowest is None else lowest
    high = float(numbers.max()) if highest is None else highest
    shares = np.clip((numbers - low) / max(high - low, 1e-12), 0, 1)
    return np.rint(mpl.colormaps[colors](shares)[..., :3] * 255).astype(np.uint8)


def matrix_picture(values: Tensor, *, colors: str = "viridis", **bounds: float) -> np.ndarray:
    """(h, w) numbers as squares."""
    drawn = colored(values, colors=colors, **bounds)
    size_hw = drawn_size((drawn.shape[0], drawn.shape[1]), MATRIX_SIDE)
    return _nearest(drawn, size_hw)


def heat_picture(picture_rgb: np.ndarray, heat: Tensor, stride: int = 1) -> np.ndarray:
    """(h, w) numbers from 0 over the picture; `stride` pixels a number."""
    image_hw = (picture_rgb.shape[0], picture_rgb.shape[1])
    drawn = colored(heat, lowest=0.0, colors="inferno")
    large_hw = (drawn.shape[0] * stride, drawn.shape[1] * stride)
    drawn = _nearest(drawn, large_hw)[: image_hw[0], : image_hw[1]]
    gray = picture_rgb.mean(-1, keepdims=True)
    mixed = 0.4 * gray + 0.6 * drawn
    return resize_pixels(np.rint(mixed).astype(np.uint8), drawn_size(image_hw, 320), "bicubic")


def _nearest(drawn: np.ndarray, size_hw: SizeHW) -> np.ndarray:
    return np.ascontiguousarray(
        resize_nearest(drawn.transpose(2, 0, 1), size_hw).transpose(1, 2, 0)
    )


def as_data_uri(picture_rgb: np.ndarray, kind: str = "JPEG") -> str:
    """A picture inside a page."""
    file = io.BytesIO()
    Image.fromarray(picture_rgb).save(file, format=kind, quality=85)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
