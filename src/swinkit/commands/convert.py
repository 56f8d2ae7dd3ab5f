"""`swinkit convert`: the same weights for another package."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from swinkit.checkpoints.sources import SOURCES
from swinkit.files import check_place

if TYPE_CHECKING:
    Target = str
else:
    Target = tyro.extras.literal_type_from_choices(tuple(SOURCES))


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Write a checkpoint for another package, bit for bit the same numbers.

    The source's family is recognized; what happened to every tensor is printed.
    """

    source: tyro.conf.Positional[str]
    """A weight file of any Swin family, a folder, a name from `swinkit models`, a hub id, a URL."""
    out: tyro.conf.Positional[Path]
    """.safetensors or .pth file; for huggingface a folder."""
    to: Target
    """Whose names and layout the result has; native is swinkit's own.

    For detectors: native, mmdet (version 3), microsoft (the official detection fork, mmdet 2). For
    segmenters: native, mmseg, microsoft (the official segmentation fork), huggingface."""
    image_size: int | None = None
    """Move the weights to inputs of this side, in pixels."""
    window_size: int | None = None
    """Move the weights to windows of this side, in tokens."""
    pretrained_window_size: int | None = None
    """V2 only, where the file does not tell: the window of its position coordinates."""
    strict: bool = False
    """Refuse anything unexplained: missing or unexpected tensors, guesses."""

    def run(self) -> None:
        """Convert and print the account. Raises CheckpointError where that is impossible."""
        from swinkit.checkpoints.convert import convert

        check_place(self.out, folder=self.out.is_dir() or not self.out.suffix)
        convert(
            self.source,
            self.out,
            to=self.to,
            image_size=self.image_size,
            window_size=self.window_size,
            pretrained_window_size=self.pretrained_window_size,
            strict=self.strict,
        )
