"""OpenVINO on the CPU."""

import contextlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from swinkit.engines import RunPrecision
from swinkit.engines.base import KNOWN_RANKS, METADATA, Engine, to_tensors
from swinkit.errors import CheckpointError, one_line, require


class OpenVINO(Engine):
    """An .xml file with its .bin, an .onnx file, or a model in memory, compiled for this CPU.

    Args:
        source: path, or an `openvino.Model`.
        precision: in which it multiplies.
        cache: folder in which OpenVINO keeps what it compiled; None keeps nothing.

    Raises:
        MissingPackage: OpenVINO is not installed.
        CheckpointError: no such model, or a torn one.
    """

    name = "openvino"

    def __init__(
        self, source: Any, *, precision: RunPrecision = "fp32", cache: Path | None = None
    ) -> None:
        openvino = require("openvino")
        core = openvino.Core()
        self.origin = str(source) if isinstance(source, (str, Path)) else "the model"
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": "f32" if precision == "fp32" else "bf16",
        }
        if cache is not None:
            settings["CACHE_DIR"] = str(cache)
        try:
            model = core.read_model(source) if isinstance(source, (str, Path)) else source
            self._compiled = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            reason = one_line(str(error).strip().rsplit("\n", 1)[-1])
            raise CheckpointError(
                f"{self.origin}: OpenVINO cannot open it ({reason}); export it again"
            ) from error
        shapes = [own.partial_shape for own in model.inputs]
        ranks = [-1 if shape.rank.is_dynamic else len(shape) for shape in shapes]
        if ranks not in KNOWN_RANKS:
            raise CheckpointError(
                f"{self.origin} does not take one batch of images; it is no export of swinkit"
            )
        sides = list(shapes[0])[2:]
        height, width = (None if side.is_dynamic else side.get_length() for side in sides)
        self.input_hw = (height, width)
        self.metadata = {}
        with contextlib.suppress(RuntimeError):  # there is none
            self.metadata = {METADATA: model.get_rt_info([METADATA]).astype(str)}

    def run(self, images: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        found = self._compiled([values.numpy() for values in (images, *more)])
        return to_tensors([found[index] for index in range(len(found))])
