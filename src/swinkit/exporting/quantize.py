"""INT8 by NNCF's quantization after training, with SmoothQuant (2211.10438) and without.

Which of the two keeps a network's answers depends on the network: both are made and compared with
the float model, and the better one is kept. The first product, of pixels, and the last, which
decides, stay in float32: that costs no time and keeps decisions (docs/results.md).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from swinkit.engines.base import silenced
from swinkit.errors import ConfigError, DataError, require
from swinkit.images.reading import read_image
from swinkit.images.sources import find_images
from swinkit.registry import get_task, recognize, task_weights
from swinkit.task.model import TaskModel

CALIBRATION = 200  # images from which ranges are taken
HELD_OUT = 100  # others, on which the two are compared
LEAST = 8
PRODUCTS = ("Conv", "Convolution", "Gemm", "MatMul")  # as ONNX and OpenVINO call them


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """One INT8 network.

    Attributes:
        model: of NNCF, of the kind it was given.
        smooth: with SmoothQuant.
        decisions: share of places or images with the float model's class, on images that the
            calibration did not see.
    """

    model: Any
    smooth: bool
    decisions: float

    def __str__(self) -> str:
        return (
            f"INT8 {'with' if self.smooth else 'without'} SmoothQuant: "
            f"{self.decisions:.2%} of the decisions as in float32"
        )


def quantize(network: Any, input_name: str, images: Sequence[Tensor], *, smooth: bool) -> Any:
    """A network with INT8 products, but for the first and the last.

    Args:
        network: an `onnx.ModelProto` or an `openvino.Model`.
        images: `1 C H W` each, from which the ranges are taken.

    Raises:
        MissingPackage: NNCF is not installed.
    """
    nncf = require("nncf")
    advanced = nncf.AdvancedQuantizationParameters()
    if not smooth:
        advanced.smooth_quant_alphas = nncf.AdvancedSmoothQuantParameters(matmul=-1, convolution=-1)
    dataset = nncf.Dataset([{input_name: image.numpy()} for image in images])
    with silenced():
        return nncf.quantize(
            network,
            dataset,
            subset_size=len(images),
            model_type=nncf.ModelType.TRANSFORMER,
            ignored_scope=nncf.IgnoredScope(names=_ends(network)),
            advanced_parameters=advanced,
        )


def _ends(network: Any) -> list[str]:
    """Names of the first and the last product, in the order in which a network computes."""
    if hasattr(network, "get_ordered_ops"):
        nodes = [(op.get_type_name(), op.get_friendly_name()) for op in network.get_ordered_ops()]
    else:
        nodes = [(node.op_type, node.name) for node in network.graph.node]
    products = [name for kind, name in nodes if kind in PRODUCTS]
    return list(dict.fromkeys((products[0], products[-1])))


def agreement(model: TaskModel[Any], run: Callable[..., Any], images: Sequence[Tensor]) -> float:
    """Share of answers to `1 C H W` images that stay the model's when they go through `run`."""
    compare = task_weights(model.task).compare
    with torch.inference_mode():
        same = [compare(run(own), model(own), (own.shape[2], own.shape[3])).same for own in images]
    return fmean(same)


def calibration_images(model: TaskModel[Any], data: str | Path) -> list[Tensor]:
    """Images of a data set or a folder as the model's input, `1 C H W` each, evenly spread over it.

    Raises:
        DataError: too few images, or a data set of another task.
        ImageError: none, or unreadable ones.
    """
    _refuse_other_task(model, data)
    paths = find_images(Path(data))
    step = max(len(paths) // (CALIBRATION + HELD_OUT), 1)
    paths = paths[::step][: CALIBRATION + HELD_OUT]
    if len(paths) < LEAST:
        raise DataError(
            f"{data}: {len(paths)} images; INT8 needs {LEAST} or more to set its ranges"
        )
    channels = model.preprocessing.channels
    found = []
    for path in paths:
        prepared = model.preprocessing(read_image(path, channels=channels))
        values = getattr(prepared, "values", prepared)
        found.append(torch.from_numpy(values)[None])
    return found


def _refuse_other_task(model: TaskModel[Any], data: str | Path) -> None:
    try:
        task = recognize(data).task
    except DataError:
        return  # a folder of images is enough
    if task != model.task:
        raise ConfigError(
            f"{data} is data for {task}, and the model is a {get_task(model.task).model_kind}; "
            "name images like those that it will see"
        )
