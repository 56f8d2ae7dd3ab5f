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
from swinkit.errors import ConfigError
from swinkit.exporting import Precision
from swinkit.registry import task_weights
from swinkit.settings import SizeHW
from swinkit.task.model import TaskModel
from swinkit.windows.attention import WindowAttention

INPUT = "images"
SIZES_INPUT = "sizes_hw"


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


class _OneInput(nn.Module):
    """A network with one argument, float32 outside and the given precision inside."""

    def __init__(self, network: nn.Module, precision: Precision) -> None:
        super().__init__()
        self.in_half = precision == "fp16"
        self.network = network.half() if self.in_half else network

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        found = self.network(images.half() if self.in_half else images)
        if isinstance(found, Tensor):
            return found.float()
        return tuple(one.float() for one in found)


def trace(model: Model, image_hw: SizeHW, *, dynamic: bool, precision: Precision = "fp32") -> Graph:
    """The graph of a model in evaluation mode.

    Args:
        image_hw: the size of its images; for `dynamic` graphs an example that any other may follow.

    Raises:
        ConfigError: a model that cannot be traced.
        CheckpointError: a model that runs an exported file.
    """
    if isinstance(model, TaskModel):
        model.need_weights()
    model = copy.deepcopy(model).cpu().float().eval()
    for module in model.modules():
        if isinstance(module, WindowAttention):
            module.put_scale_in_query()
    network, outputs = _network(model)
    if dynamic:
        image_hw = _large_enough(backbone_of(model))
    examples = [torch.rand(2, backbone_of(model).config.in_channels, *image_hw)]
    axes = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC} if dynamic else {0: Dim.DYNAMIC}
    shapes: dict[str, dict[int, Any]] = {INPUT: axes}
    if takes_sizes(model):
        examples.append(torch.tensor([image_hw, image_hw]))
        shapes[SIZES_INPUT] = {0: Dim.DYNAMIC}
    else:
        network = _OneInput(network, precision).eval()
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
        outputs=outputs,
        image_hw=None if dynamic else image_hw,
    )


def takes_sizes(model: Model) -> bool:
    """Whether, beside images, a model takes the size of each without its padding."""
    return isinstance(model, TaskModel) and task_weights(model.task).takes_sizes


def _network(model: Model) -> tuple[nn.Module, tuple[str, ...]]:
    """What a file holds, and the names of what it gives: of a bare backbone a map per stage."""
    if isinstance(model, TaskModel):
        return task_weights(model.task).graph(model)
    return model, tuple(f"stage{number}" for number in range(len(model.config.depths)))


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
