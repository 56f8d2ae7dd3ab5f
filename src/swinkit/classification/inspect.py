"""What a classification data set holds."""

from swinkit.classification.data.splits import (
    ClassificationSample,
    ClassificationSplits,
    load_classification,
)
from swinkit.data.bands import SeenBands, see_bands
from swinkit.data.config import DataConfig
from swinkit.data.inspection import (
    DrawnImage,
    FactTable,
    Inspection,
    file_sizes,
    select_samples,
    sizes_table,
)
from swinkit.pictures.annotating import on_canvas


def inspect_classification(config: DataConfig, *, pictures: int, seed: int) -> Inspection:
    """What folders or lists of labeled images hold.

    Splits that the data set lacks are taken from its training images, as training would.
    Fewer than two classes are a DataError; for the rest see `Task.inspect`.
    """
    splits = load_classification(config)
    shown = select_samples(splits.by_name(), pictures, seed, lambda sample: [sample.label])
    shown.sort(key=lambda pair: pair[1].label)
    bands = see_bands(config, splits.by_name(), splits.channels)
    return Inspection(
        path=config.path,
        title="classification",
        tables=(
            _counts(splits),
            sizes_table(
                {
                    split: file_sizes([sample.path for sample in part])
                    for split, part in splits.by_name().items()
                }
            ),
            *bands.tables,
        ),
        notes=splits.notes,
        problems=splits.problems,
        pictures=tuple(_draw(split, sample, splits.class_names, bands) for split, sample in shown),
    )


def _counts(splits: ClassificationSplits) -> FactTable:
    counts = splits.counts()
    rows = [(name, *(str(counts[s][name]) for s in counts)) for name in splits.class_names]
    rows.append(("all", *(str(sum(counts[split].values())) for split in counts)))
    return FactTable(title="Images per class", header=("class", *counts), rows=tuple(rows))


def _draw(
    split: str, sample: ClassificationSample, class_names: tuple[str, ...], bands: SeenBands
) -> DrawnImage:
    image = bands.read(sample.path)
    size_hw = (image.shape[0], image.shape[1])
    return DrawnImage(
        caption=f"{class_names[sample.label]}, {split}, {size_hw[0]}x{size_hw[1]}: "
        f"{sample.path.name}",
        image_rgb=on_canvas(image, size_hw),
    )
