"""Formats with a page of annotations for each image: an image and its objects, by class names."""

from collections.abc import Sequence
from dataclasses import dataclass

from swinkit.detection.data.annotations import RawImage, RawObject, RawSplit, tabulate


@dataclass(frozen=True, kw_only=True)
class RawPage:
    """What one annotation file, or one entry for an image, says.

    Attributes:
        image: the image.
        objects: each with the name of its class; their `image` and `label` are not set yet.
        faulty: whether an object of it could not be read.
    """

    image: RawImage
    objects: list[tuple[str, RawObject]]
    faulty: bool = False


def join_pages(
    pages: dict[str, list[RawPage]], class_names: Sequence[str] = ()
) -> dict[str, RawSplit]:
    """The splits of pages; classes in the order of `class_names`, others behind them by name."""
    used = {name for listed in pages.values() for page in listed for name, _ in page.objects}
    names = [*dict.fromkeys(class_names), *sorted(used - set(class_names))]
    label = {name: place for place, name in enumerate(names)}
    return {
        split: RawSplit(
            images=[page.image for page in listed],
            objects=tabulate(
                [
                    item._replace(image=row, label=label[name])
                    for row, page in enumerate(listed)
                    for name, item in page.objects
                ]
            ),
            class_names=tuple(names),
            category_ids=tuple(range(1, len(names) + 1)),
            faulty=frozenset(row for row, page in enumerate(listed) if page.faulty),
        )
        for split, listed in pages.items()
    }
