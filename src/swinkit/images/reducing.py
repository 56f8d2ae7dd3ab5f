"""Large pictures, read no larger than what is made of them needs."""

from collections.abc import Callable

from PIL import ExifTags, Image

from swinkit.settings import SizeHW

Reduced = Callable[[SizeHW], SizeHW]  # from an image's size to the one that it will be scaled to

LARGE_PIXELS = 1 << 25  # pixels of a file from which it is read smaller where that is enough
SHARP = 4  # times the size that is needed, so that what is made of it hardly changes
AVERAGED = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr")  # modes whose values are amounts
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # what turns a picture upright, by its orientation in EXIF
SIDEWAYS = tuple(TURNS[orientation] for orientation in (5, 6, 7, 8))


def reduce_image(image: Image.Image, reduced: Reduced) -> Image.Image:
    """A large picture, upright, at a size that still is a multiple of what will be made of it.

    A JPEG is decoded at that size; others are averaged over squares of pixels, which spares
    several copies of all pixels.
    """
    if image.format not in ("JPEG", "MPO"):
        image.load()  # a TIFF is turned upright by this
    turn = turn_upright(image)
    height, width = image.height, image.width
    size_hw = (width, height) if turn in SIDEWAYS else (height, width)
    needed_hw = reduced(size_hw)
    factor = min(size_hw[0] // needed_hw[0], size_hw[1] // needed_hw[1]) // SHARP
    if factor < 2 or "transparency" in image.info:  # a color that is transparent cannot be averaged
        return image
    if image.mode in ("1", "P"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if image.mode not in AVERAGED:
        return image
    image.draft(None, (width // factor, height // factor))
    left = factor * image.width // width
    image = image.reduce(left) if left >= 2 else image.copy()
    if turn is not None:
        image = image.transpose(turn)
    image.info = {}  # it stands upright now
    return image


def turn_upright(image: Image.Image) -> Image.Transpose | None:
    """What turns the picture upright, as its EXIF block says; None where it stands."""
    try:
        return TURNS.get(int(image.getexif().get(ExifTags.Base.Orientation, 1)))
    except Exception:  # a damaged EXIF block says nothing about the pixels, which are decoded
        return None


def upright(image: Image.Image) -> Image.Image:
    """The decoded picture, turned as its EXIF block says."""
    image.load()
    turn = turn_upright(image)
    return image if turn is None else image.transpose(turn)
