"""Any image as one array, H W C: uint8, or float32 in 0..1 where the source is finer."""

import contextlib
import os
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from swinkit.errors import ImageError, SwinkitError
from swinkit.images.reducing import LARGE_PIXELS, Reduced, reduce_image, upright
from swinkit.images.sources import HEIF_SUFFIXES

ImageSource = str | Path | np.ndarray | Image.Image

SMALLEST_SIDE = 4  # pixels: one patch of the network
RANGE_TOLERANCE = 1e-3  # resampled floats overshoot 0..1 a little
CHANNELS_OF_PICTURES = (1, 3, 4)  # gray, RGB, RGBA: these convert into each other
BAND_SUFFIXES = (".npy", ".tif", ".tiff")
HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
)  # of a file that is laid out like an MP4


def read_image(
    source: ImageSource, *, channels: int = 3, reduced: Reduced | None = None
) -> np.ndarray:
    """Read one image, whatever its kind, with the number of channels asked for.

    Files: everything Pillow decodes, and `.npy`. The first frame counts, EXIF rotation is
    applied, transparency is laid on white, CMYK and palettes become RGB. Images of several
    bands come from `.npy`, from TIFF of that many bands (with tifffile) or of one page per band.
    Arrays: (H, W) or (H, W, C), of bool, uint8, uint16, or floats in 0..1.

    Args:
        source: path, array or Pillow image.
        channels: C of the answer. Gray, RGB and RGBA are converted to 1 or 3 (luma of ITU-R
            601); any other number must be what the image has.
        reduced: gives the (height, width) that an image of some size will be scaled to: files of
            more than `LARGE_PIXELS` are then read smaller, at least `SHARP` times that size. None
            reads every pixel.

    Returns:
        (H, W, channels) uint8, or float32 in 0..1 where the source is finer than 8 bits.

    Raises:
        ImageError: missing, unreadable, truncated, of zero size or smaller than one patch on a
            side, too large to decode safely, NaN or out of range, or with other channels.
    """
    with quiet_pillow():
        return decode_image(source, channels=channels, reduced=reduced)


def open_image(path: Path) -> Image.Image:
    """`Image.open`, which also reads HEIC where pillow-heif is installed, whatever the suffix.

    Raises:
        ImageError: a HEIC image without pillow-heif.
        Exception: as `Image.open`, which raises nearly anything.
    """
    try:
        return Image.open(path)
    except UnidentifiedImageError:
        if not _is_heif(path):
            raise
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise ImageError(
            f"{path}: a HEIC image; install pillow-heif (pip install 'swinkit[heic]') to read it, "
            "or save it as JPEG"
        ) from error
    register_heif_opener()
    try:
        return Image.open(path)
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{path}: a HEIC image that cannot be decoded; it is damaged, or of a newer kind: save "
            "it as JPEG"
        ) from error


def misnamed_heic(paths: Iterable[Path]) -> list[Path]:
    """Files called .heic (or .heif) that hold an image of another kind, which is read."""
    named = (path for path in paths if path.suffix.lower() in HEIF_SUFFIXES and path.is_file())
    return [path for path in named if not _is_heif(path)]


def _is_heif(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(12)
    return start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keep Pillow's remarks about harmless metadata off the screen.

    Python's warning filters belong to the whole process: code that decodes in several threads
    enters this once around them and calls `decode_image` inside.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
        yield


def decode_image(
    source: ImageSource, *, channels: int = 3, reduced: Reduced | None = None
) -> np.ndarray:
    """`read_image` without the silencing of Pillow."""
    name = describe(source)
    if isinstance(source, np.ndarray):
        image = from_array(source, name)
    elif isinstance(source, Image.Image):
        image = _decode(lambda: pillow_to_array(source, channels, name), name)
    else:
        path = Path(os.path.expanduser(source))
        image = _decode(lambda: _read_file(path, channels, reduced), str(path))
    check_size(image.shape[0], image.shape[1], name)
    return to_channels(image, channels, name)


def describe(source: ImageSource) -> str:
    """How messages name an image."""
    if isinstance(source, np.ndarray):
        return f"array of shape {source.shape}"
    if isinstance(source, Image.Image):
        return getattr(source, "filename", "") or f"{source.mode} image of size {source.size}"
    return str(source)


def as_pixels(image: np.ndarray, channels: int, name: str) -> np.ndarray:
    """(H, W, channels) of an array as users give it, for a network.

    Raises:
        ImageError: smaller than a patch, NaN, out of range, or of other channels.
    """
    pixels = to_channels(from_array(image, name), channels, name)
    check_size(pixels.shape[0], pixels.shape[1], name)
    return pixels


def check_size(height: int, width: int, name: str) -> None:
    """Refuse an image that holds no whole patch.

    Raises:
        ImageError: a side shorter than `SMALLEST_SIDE`.
    """
    if min(height, width) < SMALLEST_SIDE:
        raise ImageError(
            f"{name}: {height}x{width} pixels (height x width), smaller than one "
            f"{SMALLEST_SIDE}x{SMALLEST_SIDE} patch; use a larger image"
        )


def check_rgb(image: np.ndarray, where: str, size_hw: tuple[int, int] | None = None) -> None:
    """Raises SwinkitError for anything but (H, W, 3) uint8, of that size where one is named."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise SwinkitError(
            f"image_rgb{where}: expected (H, W, 3) uint8, got {image.shape} {image.dtype}"
        )
    if size_hw is not None and image.shape[:2] != size_hw:
        raise SwinkitError(
            f"image_rgb{where}: expected (height, width) {size_hw} as the result, got "
            f"{image.shape[:2]}"
        )


def to_8bit(pixels: np.ndarray) -> np.ndarray:
    """uint8 of an image that is uint8 or float in 0..1, of any shape."""
    return pixels if pixels.dtype == np.uint8 else np.rint(pixels * 255).astype(np.uint8)


def from_array(values: np.ndarray, name: str) -> np.ndarray:
    """(H, W) or (H, W, C) of a supported type as (H, W, C) uint8 or float32 in 0..1.

    Raises:
        ImageError: another shape or type, no pixels, NaN, or floats out of range.
    """
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim != 3 or values.size == 0:
        raise ImageError(f"{name}: expected (H, W) or (H, W, C) with pixels, got {values.shape}")
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype == np.int16 and values.min() >= 0:
        values = values.astype(np.uint16)
    if values.dtype == np.uint16:
        return values.astype(np.float32) / np.float32(65535)
    if not np.issubdtype(values.dtype, np.floating):
        raise ImageError(
            f"{name}: values of type {values.dtype}; convert to uint8, uint16 or floats in 0..1"
        )
    if not np.isfinite(values).all():
        raise ImageError(f"{name}: contains NaN or infinite values; repair or remove it")
    if values.min() < -RANGE_TOLERANCE or values.max() > 1 + RANGE_TOLERANCE:
        raise ImageError(
            f"{name}: float values in {values.min():.4g}..{values.max():.4g}; scale them to 0..1"
        )
    return np.clip(values, 0, 1).astype(np.float32)


def to_channels(image: np.ndarray, channels: int, name: str) -> np.ndarray:
    """(H, W, C) with `channels` instead of C.

    Raises:
        ImageError: no meaningful conversion between the two.
    """
    present = image.shape[2]
    if present == channels:
        return image
    if channels not in (1, 3) or present not in CHANNELS_OF_PICTURES:
        hint = (
            "; its first axis has that many: transpose it to (H, W, C)"
            if image.shape[0] == channels
            else ""
        )
        raise ImageError(f"{name}: {present} channels, but the model takes {channels}{hint}")
    if present == 4:
        image = _on_white(image)
    if channels == 1:
        return _luma(image)
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


def pillow_to_array(image: Image.Image, channels: int, name: str) -> np.ndarray:
    """A Pillow image of any mode as (H, W, C) uint8 or float32 in 0..1, upright.

    Bands are kept as they are when there are just as many as `channels` (and more than three).
    """
    if image.width == 0 or image.height == 0:
        raise ImageError(f"{name}: has no pixels; use another image")
    pages = getattr(image, "n_frames", 1)
    if channels not in CHANNELS_OF_PICTURES and pages == channels and len(image.getbands()) == 1:
        return _pages_as_bands(image, pages, name)
    image = upright(image)
    if image.mode.startswith("I;16"):
        return from_array(np.asarray(image).astype(np.uint16), name)
    if image.mode == "I":
        return _from_int32(np.asarray(image), name)
    if image.mode == "F":
        return from_array(np.asarray(image), name)
    if image.mode in ("RGBa", "La"):
        image = image.convert("RGBA" if image.mode == "RGBa" else "LA")
    if len(image.getbands()) == channels > 3:
        return np.asarray(image)
    if image.has_transparency_data:
        return np.asarray(image.convert("RGBA"))
    if image.mode in ("1", "L"):
        return np.asarray(image if image.mode == "L" else image.convert("L"))[:, :, None]
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _read_file(path: Path, channels: int, reduced: Reduced | None) -> np.ndarray:
    facts = path.stat()
    if stat.S_ISDIR(facts.st_mode):
        raise ImageError(f"{path}: is a folder; name an image file")
    if not stat.S_ISREG(facts.st_mode):  # a pipe or a device, which may have no end
        raise ImageError(f"{path}: is no regular file; name an image file")
    if facts.st_size == 0:
        raise ImageError(f"{path}: is empty (0 bytes); remove it or copy it again")
    if path.suffix.lower() in BAND_SUFFIXES:
        from swinkit.images import bands  # and with it Pillow's reader of TIFF

        pixels = bands.read_bands(path)
        if pixels is not None:
            return from_array(pixels, str(path))
    with open_image(path) as image:
        large = image.width * image.height > LARGE_PIXELS
        if large and reduced is not None and channels in (1, 3):
            return pillow_to_array(reduce_image(image, reduced), channels, str(path))
        return pillow_to_array(image, channels, str(path))


def _decode(work: Callable[[], np.ndarray], name: str) -> np.ndarray:
    try:
        return work()
    except ImageError:
        raise
    # Decoders of damaged files raise nearly anything (struct.error, SyntaxError, IndexError, ...).
    except Exception as error:
        raise ImageError(f"{name}: {explain(error)}") from error


def explain(error: Exception, formats: str = "PNG or JPEG") -> str:
    """Why an image could not be decoded, and what to do, in half a line."""
    if isinstance(error, UnidentifiedImageError):
        return f"not an image, or of an unknown kind; remove it or save it as {formats}"
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return f"more than {limit:,} pixels, refused as a decompression bomb; make it smaller"
    if isinstance(error, FileNotFoundError):
        return "no such file, or a link to one that is gone; check the path"
    if isinstance(error, PermissionError):
        return "no permission to read it; change the permissions"
    if isinstance(error, MemoryError):
        return "needs more memory than there is; make it smaller"
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot be read ({error.strerror}); check the path"
    reason = str(error) or type(error).__name__
    return f"cannot be decoded ({reason}); it is damaged or truncated: remove it or copy it again"


def _pages_as_bands(image: Image.Image, pages: int, name: str) -> np.ndarray:
    bands = []
    for page in range(pages):
        image.seek(page)
        bands.append(pillow_to_array(image.copy(), 1, name))
    if len({(band.shape, band.dtype) for band in bands}) != 1:
        raise ImageError(f"{name}: its {pages} pages differ in size or type; they cannot be bands")
    return np.concatenate(bands, axis=2)


def _from_int32(values: np.ndarray, name: str) -> np.ndarray:
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(
            f"{name}: 32-bit values in {values.min()}..{values.max()}; save it with 8 or 16 bits"
        )
    return from_array(values.astype(np.uint16), name)


def _on_white(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        picture = Image.fromarray(np.ascontiguousarray(image))
        white = Image.new("RGBA", picture.size, "white")
        return np.asarray(Image.alpha_composite(white, picture).convert("RGB"))
    alpha = image[:, :, 3:]
    return image[:, :, :3] * alpha + (1 - alpha)


def _luma(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        picture = Image.fromarray(np.ascontiguousarray(image))
        return np.asarray(picture.convert("L"))[:, :, None]
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return (image @ weights)[:, :, None]
