"""What the entries of a COCO results file have in common. K classes."""

from collections.abc import Sequence

from swinkit.errors import SwinkitError


def category_ids_of(
    class_names: Sequence[str], category_ids: Sequence[int] | None
) -> Sequence[int]:
    """K category ids, one per class; by default 1, 2, ...

    Raises:
        SwinkitError: another number of ids than of classes.
    """
    if category_ids is None:
        return range(1, len(class_names) + 1)
    if len(category_ids) != len(class_names):
        raise SwinkitError(
            f"category_ids: expected {len(class_names)}, one per class, got {len(category_ids)}"
        )
    return category_ids
