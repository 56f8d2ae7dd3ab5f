"""How many bands the images of a data set have, and what values. H W image, C bands."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from swinkit.data.config import DataConfig
from swinkit.data.inspection import FactTable
from swinkit.data.splits import HasPath
from swinkit.errors import DataError, ImageError
from swinkit.images.bands import band_facts
from swinkit.images.preprocessing import Normalization, Preprocessing, check_shown_bands
from swinkit.images.reading import BAND_SUFFIXES, quiet_pillow, read_image

PROBED = 32  # files whose headers tell the bands
MEASURED = 64  # images that tell the statistics
MEASURED_SIDE = 256  # pixels along a side of each, evenly spread
SMALLEST_STD = 1e-4  # of the range 0..1: a band that never changes
LEVELS = 65535
EIGHT_BITS = (".jpg", ".jpeg", ".bmp", ".gif", ".webp")  # files that need not be looked at


def recognize_bands(config: DataConfig, paths: Sequence[Path]) -> tuple[DataConfig, list[str]]:
    """The settings with a number in `channels`, and a note where it is no usual one.

    Gray, RGB and RGBA pictures are 3 channels; of TIFF and `.npy` the header tells. Where files
    differ, the most frequent number counts.

    Args:
        config: whose `channels` "auto" is to be found out; another value stays.
        paths: the images.

    Raises:
        ConfigError: `shown_bands` that are none of them.
    """
    if config.channels != "auto":
        if config.shown_bands is not None:
            check_shown_bands(config.shown_bands, config.channels)
        return config, []
    probed = paths[:: max(1, len(paths) // PROBED)]
    with quiet_pillow():
        counts = Counter(_bands_of(path) for path in probed)
    del counts[0]
    channels = counts.most_common(1)[0][0] if counts else 3
    notes = []
    if channels != 3:
        others = [f"{number} in {files}" for number, files in counts.items() if number != channels]
        notes.append(
            f"{config.path}: images of {channels} bands"
            + (f", but of the {len(probed)} looked at {', '.join(others)}" if others else "")
        )
    found = replace(config, channels=channels)
    if found.shown_bands is not None:
        check_shown_bands(found.shown_bands, channels)
    return found, notes


def channels_of(config: DataConfig) -> int:
    """The number in settings that `recognize_bands` gave; 3 where nothing was recognized."""
    return 3 if config.channels == "auto" else config.channels


def _bands_of(path: Path) -> int:
    """3 of a picture, 0 of a file that cannot be read."""
    if path.suffix.lower() not in BAND_SUFFIXES:
        return 3
    try:
        facts = band_facts(path)
    # Readers of damaged files raise nearly anything; the scan names the file.
    except Exception:
        return 0
    if facts is None or facts.picture or facts.bands in (1, 3):
        return 3
    return 3 if facts.by_page and facts.bands == 4 else facts.bands  # frames of a picture


@dataclass(frozen=True, kw_only=True)
class BandStatistics:
    """Values of each band over some images, in 0..1.

    Attributes:
        mean, std, low, high: C values each; `low` and `high` are the extremes.
        deep: whether images are finer than 8 bits.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    deep: bool

    @property
    def as_normalization(self) -> Normalization:
        """To show images by."""
        return Normalization(mean=self.mean, std=self.std)

    @property
    def usual(self) -> bool:
        """Gray or RGB in the range that pictures have: published statistics serve them."""
        return len(self.mean) in (1, 3) and not (self.deep and self.as_normalization.dim)

    def table(self) -> FactTable:
        """A row per band; of images finer than 8 bits as numbers of 16 bits."""
        scale = LEVELS if self.deep else 255
        columns = (self.mean, self.std, self.low, self.high)
        return FactTable(
            title=f"Bands, values in 0..{scale}",
            header=("band", "mean", "standard deviation", "least", "greatest"),
            rows=tuple(
                (str(number), *(f"{scale * value:.4g}" for value in values))
                for number, values in enumerate(zip(*columns, strict=True), start=1)
            ),
        )


def measure_bands(paths: Sequence[Path], channels: int) -> BandStatistics:
    """Statistics of up to `MEASURED` images, evenly spread, and evenly spread pixels of each.

    Raises:
        DataError: none of them can be read.
    """
    moments, low, high, deep = [], [], [], False
    for path in paths[:: max(1, len(paths) // MEASURED)][:MEASURED]:
        try:
            image = read_image(path, channels=channels)
        except ImageError:
            continue
        rows, columns = (max(1, side // MEASURED_SIDE) for side in image.shape[:2])
        values = image[::rows, ::columns].reshape(-1, channels).astype(np.float64)
        values = values / 255 if image.dtype == np.uint8 else values
        deep = deep or image.dtype != np.uint8
        moments.append((values.mean(0), (values**2).mean(0)))
        low.append(values.min(0))
        high.append(values.max(0))
    if not moments:
        raise DataError("no image can be read to measure its bands; see what is wrong with them")
    mean, square = np.mean(moments, axis=0)
    std = np.maximum(np.sqrt(np.maximum(square - mean**2, 0)), SMALLEST_STD)
    return BandStatistics(
        mean=_rounded(mean),
        std=_rounded(std),
        low=_rounded(np.min(low, axis=0)),
        high=_rounded(np.max(high, axis=0)),
        deep=deep,
    )


@dataclass(frozen=True, kw_only=True)
class SeenBands:
    """How an inspection shows images.

    Attributes:
        shown: reads and shows them.
        tables: of their bands, where they are other than usual.
    """

    shown: Normalization = field(default_factory=Normalization)
    tables: tuple[FactTable, ...] = ()

    def read(self, path: Path) -> np.ndarray:
        """(H, W, 3) uint8. Raises ImageError."""
        return self.shown.picture(read_image(path, channels=self.shown.channels))


def see_bands(
    config: DataConfig, parts: Mapping[str, Sequence[HasPath]], channels: int
) -> SeenBands:
    """Statistics of the images of an inspected data set, and how they are shown.

    Raises:
        DataError: none of the images can be read.
    """
    paths = [sample.path for part in parts.values() for sample in part]
    own = own_statistics(replace(config, channels=channels), paths)
    shown = _published(channels) if own is None else own.as_normalization
    return SeenBands(
        shown=replace(shown, shown_bands=config.shown_bands),
        tables=() if own is None else (own.table(),),
    )


def _published(channels: int) -> Normalization:
    return Normalization() if channels == 3 else Preprocessing.for_size(224, channels=channels)


def own_statistics(config: DataConfig, paths: Sequence[Path]) -> BandStatistics | None:
    """What images of these settings are normalized by; None keeps what the weights have.

    Raises:
        DataError: none of the images can be read.
    """
    channels = channels_of(config)
    if config.statistics == "weights":
        return None
    plain = channels in (1, 3) and all(path.suffix.lower() in EIGHT_BITS for path in paths)
    if plain and config.statistics == "auto":
        return None
    found = measure_bands(paths, channels)
    return None if config.statistics == "auto" and found.usual else found


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)
