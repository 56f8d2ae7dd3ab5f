"""Which images of a data set are left out before the work starts."""

from collections.abc import Sequence
from pathlib import Path

from swinkit.data.bands import channels_of
from swinkit.data.config import DataConfig
from swinkit.data.scan import find_bad_images
from swinkit.data.splits import name_some
from swinkit.errors import DataError


def bad_images(paths: Sequence[Path], config: DataConfig) -> dict[Path, str]:
    """The images that cannot be read, and why; none where the settings trust them.

    Raises:
        DataError: all are bad, or one is where bad images are refused.
    """
    if config.scan == "none":
        return {}
    bad = find_bad_images(paths, scan=config.scan, channels=channels_of(config))
    if not bad:
        return {}
    named = name_some([f"{path} ({reason})" for path, reason in bad.items()], most=3)
    if config.on_bad_image == "refuse":
        raise DataError(
            f"{config.path}: {len(bad)} of {len(paths)} images are bad: {named}; "
            "repair or remove them, or let on_bad_image skip them"
        )
    if all(path in bad for path in paths):
        raise DataError(f"{config.path}: all {len(paths)} images are bad: {named}; repair them")
    return bad
