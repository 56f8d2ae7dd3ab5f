"""Graphs as OpenVINO files, by way of ONNX."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swinkit.engines.base import require
from swinkit.errors import SwinkitError
from swinkit.files import atomic_write


def to_openvino(proto: Any, metadata: Mapping[str, str]) -> Any:
    """The `openvino.Model` of an ONNX model.

    Raises:
        ConfigError: OpenVINO is not installed.
    """
    import io

    openvino = require("openvino")
    model = openvino.Core().read_model(io.BytesIO(proto.SerializeToString()))
    for key, value in metadata.items():
        model.set_rt_info(value, [key])
    return model


def write_openvino(model: Any, path: Path, *, fp16: bool) -> None:
    """An .xml file and its .bin beside it; the .xml, which readers open, appears last.

    Raises:
        SwinkitError: the system refused the write.
    """
    import tempfile

    openvino = require("openvino")
    with tempfile.TemporaryDirectory(prefix="swinkit-") as folder:
        xml = Path(folder) / path.name
        try:
            openvino.save_model(model, xml, compress_to_fp16=fp16)
        except RuntimeError as error:
            raise SwinkitError(f"cannot write {path}: {error}; free space in {folder}") from error
        for written in (xml.with_suffix(".bin"), xml):
            with atomic_write(path.with_suffix(written.suffix)) as temporary:
                temporary.write_bytes(written.read_bytes())
