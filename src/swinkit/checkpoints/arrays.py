"""Plain pickles of NumPy arrays by name, as detectron2 and older programs wrote them.

Nothing that a file names is called: its arrays are put together here, from their types, shapes and
bytes. Everything else is refused by name.
"""

import codecs
import math
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from swinkit.errors import CheckpointError

_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # PyTorch's files of before 1.6
_TYPE = re.compile(r"[<>=|]?[biuf]\d")


def is_plain_pickle(path: Path) -> bool:
    """Whether a file is a pickle of protocol 2 to 5, and none of PyTorch's own."""
    with path.open("rb") as file:
        start = file.read(len(_LEGACY))
    return start[:1] == b"\x80" and start != _LEGACY and start[1:2] in b"\x02\x03\x04\x05"


class _Type:
    """The type of an array's numbers, such as float32."""

    def __init__(self, name: Any = None, *_: Any) -> None:
        if not isinstance(name, str) or not _TYPE.fullmatch(name):
            raise pickle.UnpicklingError("GLOBAL: arrays of other than numbers")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: Any) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """An array that its state, which follows in the file, fills."""

    def __init__(self, *_: Any) -> None:
        self.values: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_columns, content = state
        self.values = _values(content, kind, shape, "F" if by_columns else "C")


def _values(content: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    if not isinstance(kind, _Type) or not isinstance(content, (bytes, bytearray)):
        raise pickle.UnpicklingError("GLOBAL: arrays of other than numbers")
    if math.prod(shape) * kind.dtype.itemsize != len(content):
        raise ValueError("an array has another size than its numbers")
    return np.frombuffer(content, kind.dtype).reshape(shape, order="F" if order == "F" else "C")


def _from_buffer(content: Any, kind: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.values = _values(content, kind, shape, order)
    return array


def _scalar(kind: Any, content: Any) -> _Array:
    return _from_buffer(content, kind, (), "C")


def _encoded(text: Any, encoding: Any) -> bytes:
    """How protocol 2 writes bytes."""
    return codecs.latin_1_encode(text)[0] if encoding == "latin1" else b""


_KNOWN = {
    "collections.OrderedDict": OrderedDict,
    "numpy.dtype": _Type,
    "numpy.ndarray": _Array,
    "_codecs.encode": _encoded,
    **{
        f"numpy.{core}.{name}": known
        for core in ("core", "_core")
        for name, known in {
            "multiarray._reconstruct": _Array,
            "multiarray.scalar": _scalar,
            "numeric._frombuffer": _from_buffer,
        }.items()
    },
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in _KNOWN:
            raise pickle.UnpicklingError(f"GLOBAL: {module}.{name}")
        return _KNOWN[f"{module}.{name}"]


def load_arrays(path: Path) -> Any:
    """What the file holds, its arrays as tensors.

    Raises:
        pickle.UnpicklingError: it asks for anything but arrays.
        CheckpointError: it is nested without end.
    """
    with path.open("rb") as file:
        return _as_tensors(_Unpickler(file).load(), path, 0)


def _as_tensors(value: Any, path: Path, depth: int) -> Any:
    if depth > 8:
        raise CheckpointError(f"{path} is nested more than 8 deep; save the state dict alone")
    if isinstance(value, dict):
        return {name: _as_tensors(item, path, depth + 1) for name, item in value.items()}
    return _tensor(value.values) if isinstance(value, _Array) else value


def _tensor(values: np.ndarray | None) -> Tensor | None:
    if values is None:
        return None
    # PyTorch shares neither foreign byte orders nor memory that must not be written to.
    return torch.from_numpy(values.astype(values.dtype.newbyteorder("="), order="C", copy=True))
