"""Graphs as OpenVINO files, by way of ONNX."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swinkit.engines.base import require


def to_openvino(proto: Any) -> Any:
    """The `openvino.Model` of an ONNX model.

    Raises:
        ConfigError: OpenVINO is not installed.
    """
    import io

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
