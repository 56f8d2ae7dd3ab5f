"""What every engine is: prepared images in, the network's outputs out, on a CPU in float32."""

import contextlib
import io
import logging
import platform
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar

import torch
from torch import Tensor

from swinkit.errors import CheckpointError, ImageError, one_line

METADATA = "swinkit"
"""The key under which an exported file holds what swinkit knows of it, as JSON."""

KNOWN_RANKS = ([4], [4, 2])
"""Axes of what an exported file takes: images, and of a detector their sizes."""


class Engine(ABC):
    """A network in the hands of another library.

    Attributes:
        name: of the engine.
        origin: the file, for messages.
        input_hw: (height, width) of the images in pixels, None along a free axis.
        metadata: what stands beside the network in its file, by key.
    """

    name: ClassVar[str]
    origin: str
    input_hw: tuple[int | None, int | None]
    metadata: Mapping[str, str]

    def __call__(self, images: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        """`B C H W` prepared images -> the network's outputs, in their order.

        Args:
            more: what the network takes beside them: of a detector `B 2` int64, each image's
                height and width without its padding.

        Raises:
            ImageError: a size that the file does not take.
            CheckpointError: an engine that fails on images that the file should take.
        """
        sides = tuple(images.shape[2:])
        if any(own not in (None, side) for own, side in zip(self.input_hw, sides, strict=True)):
            height, width = self.input_hw
            raise ImageError(
                f"{self.origin} takes images of {height} x {width} pixels (height, width), not "
                f"{sides[0]} x {sides[1]}; export it for that size, or with --dynamic for any"
            )
        try:
            return self.run(images.detach().float().cpu().contiguous(), *more)
        except Exception as error:  # those of engines share no base class
            raise CheckpointError(
                f"{self.origin}: {self.name} fails on {tuple(images.shape)} "
                f"({one_line(str(error))}); export it again"
            ) from error

    @abstractmethod
    def run(self, images: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        """The outputs of `B C H W` float32 images, and what is taken beside them, on the CPU."""


SLOW_BFLOAT16 = "bf16 takes longer than fp32 here: nothing multiplies in bfloat16; leave it out"


def multiplies_bfloat16(device: str) -> bool:
    """Whether a device, "cpu" or "cuda", has products in bfloat16; where not, they are imitated.

    On a processor without AVX-512 they take five times as long as those of float32; oneDNN
    offers them with AVX-512 that lacks instructions for bfloat16, too, and there converts.
    """
    if device == "cpu":
        if not torch.backends.mkldnn.is_available():
            return False
        is_x86 = platform.machine().lower() in ("x86_64", "amd64")
        offered = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        return offered and (not is_x86 or torch.cpu._is_avx512_bf16_supported())
    return torch.cuda.is_bf16_supported(including_emulation=False)


def is_installed(module: str) -> bool:
    """Whether an extra can be imported, without importing it."""
    return find_spec(module) is not None


def to_tensors(arrays: Sequence[Any]) -> tuple[Tensor, ...]:
    """NumPy arrays as tensors with memory of their own."""
    return tuple(torch.from_numpy(array.copy()) for array in arrays)


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Exporters and quantizers print their steps, advice and progress; here nothing is printed."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
