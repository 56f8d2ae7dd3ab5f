"""What a detection data set holds. G objects, N objects of a class, K classes."""

from dataclasses import replace

import numpy as np

from swinkit.data.bands import SeenBands, see_bands
from swinkit.data.config import DataConfig
from swinkit.data.inspection import DrawnImage, FactTable, Inspection, select_samples, sizes_table
from swinkit.detection.data.samples import DetectionSample
from swinkit.detection.data.splits import DetectionSplits, Parts, load_parts, object_counts
from swinkit.images.masks import compact_masks
from swinkit.pictures.annotating import draw_objects

SMALL, LARGE = 32**2, 96**2  # pixels: COCO's bounds between small, medium and large
IGNORED = "ignored"


def inspect_detection(config: DataConfig, *, pictures: int, seed: int) -> Inspection:
    """What a data set of objects holds; see `Task.inspect`."""
    loaded, parts = load_parts(replace(config, strict=False))
    shown = select_samples(parts, pictures, seed, lambda sample: sample.labels.tolist())
    bands = see_bands(config, parts, loaded.channels)
    return Inspection(
        path=config.path,
        title=f"detection, {loaded.kind}, {'boxes and masks' if loaded.has_masks else 'boxes'}",
        tables=(
            _counts(loaded, parts),
            sizes_table({split: [s.size_hw for s in part] for split, part in parts.items()}),
            _crowding(parts),
            _object_sizes(loaded, parts),
            *bands.tables,
        ),
        notes=loaded.notes,
        problems=loaded.problems,
        pictures=tuple(_draw(split, sample, loaded.class_names, bands) for split, sample in shown),
    )


def _counts(loaded: DetectionSplits, parts: Parts) -> FactTable:
    counts = {split: object_counts(samples, loaded.class_names) for split, samples in parts.items()}
    rows = [
        (name, str(number), *(str(counts[split][name]) for split in parts))
        for name, number in zip(loaded.class_names, loaded.category_ids, strict=True)
    ]
    rows.append(("all", "", *(str(sum(counts[split].values())) for split in parts)))
    ignored = [sum(int(s.is_crowd.sum()) for s in samples) for samples in parts.values()]
    if any(ignored):
        rows.append(("crowd or ignored", "", *map(str, ignored)))
    return FactTable(title="Objects", header=("class", "id", *parts), rows=tuple(rows))


def _crowding(parts: Parts) -> FactTable:
    rows = []
    for split, samples in parts.items():
        counts = np.array([len(sample) for sample in samples] or [0])
        rows.append(
            (
                split,
                f"{counts.mean():.1f}",
                f"{np.median(counts):g}",
                str(counts.max()),
                str(int((counts == 0).sum())),
            )
        )
    return FactTable(
        title="Objects per image",
        header=("split", "mean", "median", "most", "images without"),
        rows=tuple(rows),
    )


def _object_sizes(loaded: DetectionSplits, parts: Parts) -> FactTable:
    samples = [sample for part in parts.values() for sample in part]
    labels = np.concatenate([s.labels for s in samples] or [np.zeros(0, np.int64)])
    boxes = np.concatenate([s.boxes_xyxy for s in samples] or [np.zeros((0, 4), np.float32)])
    areas = np.concatenate([s.areas for s in samples] or [np.zeros(0, np.float32)])
    real = ~np.concatenate([s.is_crowd for s in samples] or [np.zeros(0, bool)])
    rows: list[tuple[str, ...]] = []
    for label, name in enumerate(loaded.class_names):
        own = real & (labels == label)
        if not own.any():
            rows.append((name, "-", "-", "-", "-", "-"))
            continue
        small, large = areas[own] < SMALL, areas[own] > LARGE
        shares = (small.mean(), (~small & ~large).mean(), large.mean())
        width, height = (boxes[own, 2:] - boxes[own, :2]).T
        side = np.quantile(np.sqrt(width * height), (0.05, 0.5, 0.95))
        solid = height > 0
        shape = np.quantile(width[solid] / height[solid] if solid.any() else [0], (0.05, 0.5, 0.95))
        rows.append(
            (
                name,
                *(f"{100 * share:.0f} %" for share in shares),
                " / ".join(f"{value:.0f}" for value in side),
                " / ".join(f"{value:.2f}" for value in shape),
            )
        )
    return FactTable(
        title="Sizes of objects (areas as in COCO: small under 32x32 pixels, large over 96x96; "
        "5 %, median and 95 %)",
        header=("class", "small", "medium", "large", "side in pixels", "width / height"),
        rows=tuple(rows),
    )


def _draw(
    split: str, sample: DetectionSample, class_names: tuple[str, ...], bands: SeenBands
) -> DrawnImage:
    height, width = sample.size_hw
    return DrawnImage(
        caption=f"{split}, {len(sample)} objects, {height}x{width}: {sample.path.name}",
        image_rgb=draw_sample(sample, class_names, bands),
    )


def draw_sample(
    sample: DetectionSample, class_names: tuple[str, ...], bands: SeenBands | None = None
) -> np.ndarray:
    """(h, w, 3) uint8: the image with its boxes and masks; regions to ignore are named so.

    Where there is one class only, each object has its own color, so that touching ones are seen.

    Raises:
        ImageError: the image cannot be read.
    """
    image = (bands or SeenBands()).read(sample.path)
    names, labels = (
        (*class_names, IGNORED),
        np.where(sample.is_crowd, len(class_names), sample.labels),
    )
    if len(class_names) == 1:
        names = tuple(names[label] for label in labels.tolist())
        labels = np.arange(len(labels))
    return draw_objects(
        image,
        sample.size_hw,
        boxes_xyxy=sample.boxes_xyxy,
        labels=labels,
        class_names=names,
        masks=None if sample.segments is None else compact_masks(sample.masks()),
    )
