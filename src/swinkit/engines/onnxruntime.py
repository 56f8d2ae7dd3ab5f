"""ONNX Runtime on the CPU."""

from pathlib import Path

import torch
from torch import Tensor

from swinkit.engines.base import KNOWN_RANKS, Engine, to_tensors
from swinkit.errors import CheckpointError, one_line, require


class OnnxRuntime(Engine):
    """An ONNX file in an inference session.

    Raises:
        MissingPackage: ONNX Runtime is not installed.
        CheckpointError: no ONNX file, a torn one, or one with operators that are not known.
    """

    name = "onnxruntime"

    def __init__(self, path: str | Path) -> None:
        runtime = require("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        # Its threads would go on spinning after an answer, and PyTorch, which prepares the next
        # image, would wait for them: ten times as long on two cores.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.origin = str(path)
        try:
            self._session = runtime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no base class
            reason = one_line(str(error).rsplit(" : ", 1)[-1])
            raise CheckpointError(
                f"{path}: ONNX Runtime cannot open it ({reason}); export it again"
            ) from error
        inputs = self._session.get_inputs()
        ranks = [len(own.shape) for own in inputs]
        if ranks not in KNOWN_RANKS:
            raise CheckpointError(
                f"{path} does not take one batch of images; it is no export of swinkit"
            )
        self._inputs = [own.name for own in inputs]
        height, width = (side if isinstance(side, int) else None for side in inputs[0].shape[2:])
        self.input_hw = (height, width)
        self.metadata = self._session.get_modelmeta().custom_metadata_map

    def run(self, images: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        given = [values.numpy() for values in (images, *more)]
        return to_tensors(self._session.run(None, dict(zip(self._inputs, given, strict=True))))
