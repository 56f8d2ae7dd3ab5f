"""A model as a graph of tensor operations: for one image size, or for any.

Where the size is fixed, all index arithmetic of windows is constants of the graph. Where it is
free, the arithmetic is part of the graph, and no size decides which way it goes. The batch is free
in both.
"""

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from swinkit.backbones.swin import SwinBackbone
from swinkit.checkpoints.save import Model, backbone_of
from swinkit.detection.network.base import DetectionNetwork
from swinkit.errors import ConfigError
from swinkit.exporting import Precision
from swinkit.settings import SizeHW

INPUT = "images"
SIZES_INPUT = "sizes_hw"
DETECTIONS = ("boxes", "scores", "labels", "image")


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A traced model.

    Attributes:
        program: takes `B C H W` float32 images; that of a detector also `B 2` int64, each image's
            height and width without its padding.
        inputs, outputs: names of what it takes and gives.
        image_hw: in pixels; None where any size is taken.
    """

    program: ExportedProgram
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    image_hw: SizeHW | None


class _Network(nn.Module):
    """A model with one argument, float32 outside and the given precision inside."""

    def __init__(self, model: Model, precision: Precision) -> None:
        super().__init__()
        self.model = model
        self.in_half = precision == "fp16"

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        found = self.model(images.half() if self.in_half else images)
        if isinstance(found, Tensor):
            return found.float()
        return tuple(one.float() for one in found)


class _Detector(nn.Module):
    """A detector with its decoding and suppression."""

    def __init__(self, model: DetectionNetwork) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, sizes_hw: Tensor) -> tuple[Tensor, ...]:
        return self.model.detect_in_batch(images, sizes_hw)


def trace(model: Model, image_hw: SizeHW, *, dynamic: bool, precision: Precision = "fp32") -> Graph:
    """The graph of a model in evaluation mode.

    Args:
        image_hw: the size of its images; for `dynamic` graphs an example that any other may follow.

    Raises:
        ConfigError: a model that cannot be traced.
    """
    model = copy.deepcopy(model).cpu().float().eval()
    if dynamic:
        image_hw = _large_enough(backbone_of(model))
    examples = [torch.rand(2, backbone_of(model).config.in_channels, *image_hw)]
    axes = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC} if dynamic else {0: Dim.DYNAMIC}
    shapes: dict[str, dict[int, Any]] = {INPUT: axes}
    if isinstance(model, DetectionNetwork):
        network: nn.Module = _Detector(model).eval()
        examples.append(torch.tensor([image_hw, image_hw]))
        shapes[SIZES_INPUT] = {0: Dim.DYNAMIC}
    else:
        network = _Network(model.half() if precision == "fp16" else model, precision).eval()
    with torch.no_grad(), _sizes_of_one_are_sizes(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.export.export(network, tuple(examples), dynamic_shapes=shapes)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(
                f"this model cannot be exported ({type(error).__name__}: {error})"
            ) from error
    return Graph(
        program=program,
        inputs=tuple(shapes),
        outputs=output_names(model),
        image_hw=None if dynamic else image_hw,
    )


def output_names(model: Model) -> tuple[str, ...]:
    """What a model gives: logits, a map per stage of a bare backbone, or detections."""
    if isinstance(model, DetectionNetwork):
        return (*DETECTIONS, "masks") if model.config.has_masks else DETECTIONS
    if isinstance(model, SwinBackbone):
        return tuple(f"stage{number}" for number in range(len(model.config.depths)))
    return ("logits",)


def _large_enough(backbone: SwinBackbone) -> SizeHW:
    """Two windows and a bit of the last map along each axis: nothing is one by chance."""
    side = backbone.strides[-1] * (max(backbone.config.windows[-1]) + 1)
    return side + 3, side + backbone.strides[0] + 1


@contextmanager
def _sizes_of_one_are_sizes() -> Iterator[None]:
    """A graph for any size must not hold for sizes above one alone."""
    from torch.fx.experimental import _config

    with _config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
        yield
