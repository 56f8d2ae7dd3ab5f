"""The network that "auto" stands for: by the size of the pictures it will learn from."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from swinkit.data.scan import check_images

AUTO = "auto"
LOOKED_AT = 100  # pictures, evenly spread over the data
# Longer sides hold more than a network for 32 pixels sees.
LARGEST_FOR_32 = 48


def variant_for(paths: Sequence[Path], channels: int = 3) -> tuple[str, str]:
    """The name of a network to train from scratch on few pictures, and why.

    >>> from swinkit.classification.auto_name import variant_for
    >>> variant_for([])[0]
    'swin_nano_64'
    """
    paths = paths[:: max(len(paths) // LOOKED_AT, 1)]
    sizes = check_images(paths, scan="none", channels=channels).values()
    sides = [max(size) for size in sizes if not isinstance(size, str)]
    side = int(median(sides)) if sides else 0
    name = "swin_nano_32" if 0 < side <= LARGEST_FOR_32 else "swin_nano_64"
    return name, f"{name}, as the pictures are {side} pixels long"
