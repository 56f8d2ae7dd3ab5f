"""Graphs as files: ONNX, OpenVINO by way of it, and those of torch.export (.pt2)."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from swinkit.engines.base import Engine, silenced
from swinkit.errors import require
from swinkit.exporting.graph import Graph

OPSET = 20  # the first with GELU


def to_onnx(graph: Graph) -> Any:
    """The `onnx.ModelProto` of a graph.

    Raises:
        MissingPackage: onnx or onnxscript is not installed.
    """
    require("onnx")
    require("onnxscript")
    with silenced():
        made = torch.onnx.export(
            graph.program,
            (),
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert made is not None
    return made.model_proto


def write_onnx(proto: Any, metadata: Mapping[str, str], path: Path) -> None:
    """One file. Raises OSError, or ValueError for a network that one file cannot hold.

    Args:
        metadata: text to stand beside the network, by key.
    """
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=value)
    path.write_bytes(proto.SerializeToString())


def to_openvino(proto: Any) -> Any:
    """The `openvino.Model` of an ONNX model.

    Raises:
        MissingPackage: OpenVINO is not installed.
    """
    openvino = require("openvino")
    return openvino.Core().read_model(io.BytesIO(proto.SerializeToString()))


def write_openvino(model: Any, metadata: Mapping[str, str], path: Path, *, fp16: bool) -> None:
    """An .xml file and its .bin beside it. Raises OSError, RuntimeError.

    Args:
        metadata: text to stand beside the network, by key.
    """
    for key, value in metadata.items():
        model.set_rt_info(value, [key])
    require("openvino").save_model(model, path, compress_to_fp16=fp16)


def write_program(graph: Graph, metadata: Mapping[str, str], path: Path) -> None:
    """One file, with the metadata as extra files in it. Raises OSError, RuntimeError."""
    torch.export.save(graph.program, path, extra_files=dict(metadata))


class Program(Engine):
    """A graph run by PyTorch. Reading a file unpickles it: for files just written alone."""

    name = "torch-export"

    def __init__(self, path: Path) -> None:
        self.origin = str(path)
        self.input_hw = (None, None)
        self.metadata = {}
        self._network = torch.export.load(path).module()

    def run(self, images: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            found = self._network(images, *more)
        return found if isinstance(found, tuple) else (found,)
