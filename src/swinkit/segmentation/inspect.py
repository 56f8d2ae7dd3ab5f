"""What a segmentation data set holds. H W map, K classes."""

from dataclasses import replace

import numpy as np

from swinkit.data.bands import SeenBands, see_bands
from swinkit.data.config import DataConfig
from swinkit.data.inspection import DrawnImage, FactTable, Inspection, select_samples, sizes_table
from swinkit.pictures.annotating import draw_regions
from swinkit.pictures.drawing import class_colors
from swinkit.segmentation.data.splits import (
    Parts,
    SegmentationSample,
    SegmentationSplits,
    load_parts,
)

OPACITY = 0.55
NAMED_CLASSES = 2  # in a caption


def inspect_segmentation(config: DataConfig, *, pictures: int, seed: int) -> Inspection:
    """What images with masks hold; see `Task.inspect`."""
    loaded, parts = load_parts(replace(config, strict=False))
    shown = select_samples(parts, pictures, seed, _classes_on)
    bands = see_bands(config, parts, loaded.channels)
    return Inspection(
        path=config.path,
        title=f"segmentation, {loaded.kind}",
        tables=(
            _frequencies(loaded, parts),
            sizes_table({split: [s.size_hw for s in part] for split, part in parts.items()}),
            *bands.tables,
        ),
        notes=loaded.notes,
        problems=loaded.problems,
        pictures=tuple(
            DrawnImage(
                caption=_caption(split, sample, loaded.class_names),
                image_rgb=draw_labels(sample, loaded, bands),
            )
            for split, sample in shown
        ),
        legend=tuple(zip(loaded.class_names, _colors(loaded), strict=True)),
    )


def _frequencies(loaded: SegmentationSplits, parts: Parts) -> FactTable:
    """Share of all pixels, and images that show it, class by class."""
    names = loaded.class_names
    columns = []
    for samples in parts.values():
        counted = [sample for sample in samples if sample.pixels is not None]
        pixels = np.array([sample.pixels for sample in counted]).reshape(-1, len(names))
        whole = sum(sample.size_hw[0] * sample.size_hw[1] for sample in counted)
        labeled = pixels.sum(axis=0)
        rest = whole - labeled.sum()
        void_images = sum(
            sample.size_hw[0] * sample.size_hw[1] > row.sum()
            for sample, row in zip(counted, pixels, strict=True)
        )
        shares = [f"{100 * part / max(whole, 1):.2f} %" for part in (*labeled, rest)]
        shown = [*(pixels > 0).sum(axis=0).tolist(), int(void_images)]
        columns.append((shares, [str(number) for number in shown]))
    header = ["class"]
    for split in parts:
        header += [f"{split}: pixels", f"{split}: images"]
    rows = [
        (name, *(cell for shares, shown in columns for cell in (shares[row], shown[row])))
        for row, name in enumerate((*names, "(does not count)"))
    ]
    return FactTable(title="Classes by pixels", header=tuple(header), rows=tuple(rows))


def _classes_on(sample: SegmentationSample) -> list[int]:
    return [] if sample.pixels is None else np.flatnonzero(sample.pixels).tolist()


def _caption(split: str, sample: SegmentationSample, class_names: tuple[str, ...]) -> str:
    height, width = sample.size_hw
    largest = [] if sample.pixels is None else np.argsort(-sample.pixels)[:NAMED_CLASSES].tolist()
    named = [
        f"{class_names[label]} {100 * sample.pixels[label] / (height * width):.0f} %"
        for label in largest
        if sample.pixels is not None and sample.pixels[label]
    ]
    return f"{split}, {height}x{width}, {', '.join(named)}: {sample.path.name}"


def draw_labels(
    sample: SegmentationSample, loaded: SegmentationSplits, bands: SeenBands | None = None
) -> np.ndarray:
    """(h, w, 3) uint8: the image under its classes' colors; what does not count stays clear.

    Raises:
        ImageError: the image or its mask cannot be read.
    """
    image = (bands or SeenBands()).read(sample.path)
    return draw_regions(image, sample.labels(), _colors(loaded), OPACITY)


def _colors(loaded: SegmentationSplits) -> np.ndarray:
    """(K, 3) uint8: the data set's own, or ours."""
    return class_colors(len(loaded.class_names)) if loaded.palette is None else loaded.palette
