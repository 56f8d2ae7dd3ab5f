"""Graphs as ONNX files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swinkit.engines.base import require, silenced
from swinkit.exporting.graph import Graph

OPSET = 20  # the first with GELU


def to_onnx(graph: Graph) -> Any:
    """The `onnx.ModelProto` of a graph.

    Raises:
        ConfigError: onnx or onnxscript is not installed.
    """
    import torch

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
