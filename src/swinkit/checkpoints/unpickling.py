"""Reading .pth files, and Python text in them, without running what they say.

torch.load(weights_only=True) refuses any class or function it does not know. Training scripts
left a few harmless ones beside the weights (settings, histories); they are read as inert
stand-ins, which keep nothing and do nothing. Everything else is refused by name.
"""

import ast
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from swinkit.checkpoints.arrays import is_plain_pickle, load_arrays
from swinkit.errors import CheckpointError


class Inert:
    """Takes any arguments and state; keeps nothing."""

    def __new__(cls, *arguments: Any, **named: Any) -> "Inert":
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Nothing to keep."""

    def __setstate__(self, state: Any) -> None:
        """Nothing to keep."""


# Names met in published checkpoints: yacs settings (microsoft), argparse settings (torchvision),
# OpenMMLab's histories and configurations. None of the real objects is ever built. Settings that
# are dictionaries become plain ones, since the unpickler fills no other kind.
_DICTIONARIES = (
    "yacs.config.CfgNode",
    "mmengine.config.config.ConfigDict",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "easydict.EasyDict",
    "addict.addict.Dict",
)
_OBJECTS = (
    "argparse.Namespace",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "mmengine.config.config.Config",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.ndarray",
    "numpy.dtype",
    "numpy.dtypes.Float64DType",
    "numpy.dtypes.Int64DType",
    "builtins.getattr",
    *(
        f"{module}.{kind}"
        for module in ("pathlib", "pathlib._local")
        for kind in (
            "Path",
            "PosixPath",
            "WindowsPath",
            "PurePath",
            "PurePosixPath",
            "PureWindowsPath",
        )
    ),
    *(f"builtins.{kind}" for kind in ("list", "dict", "set", "int", "float", "str", "tuple")),
)
_DEFAULTS = "collections.defaultdict"


def _empty(*_: Any) -> OrderedDict[Any, Any]:
    """Instead of a dictionary with defaults, whose entries the unpickler then fills in."""
    return OrderedDict()


# Entries that only an archive of a whole program has.
_PROGRAMS = {
    "constants.pkl": "a TorchScript program (torch.jit.save)",
    "archive_format": "an exported program (torch.export.save)",
}
# PyTorch's archives are not compressed, and packed anew weights hardly shrink.
MOST_UNPACKED, SMALL_ARCHIVE = 4, 1 << 24

# What the unpickler raises, by accident, on bytes that are no pickle of its kind.
_DAMAGED = (
    RuntimeError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    struct.error,
    zipfile.BadZipFile,
)


def load_pickle(path: Path) -> Any:
    """The contents of a .pth, .pt or .bin file, tensors on the CPU.

    Raises:
        CheckpointError: it holds code, is truncated, or is no checkpoint at all.
    """
    stand_ins: list[Any] = [(OrderedDict, name) for name in _DICTIONARIES]
    stand_ins += [(Inert, name) for name in _OBJECTS] + [(_empty, _DEFAULTS)]
    try:
        _inspect_archive(path)
        if is_plain_pickle(path):
            return load_arrays(path)
        _refuse_code(path)
        with torch.serialization.safe_globals(stand_ins), warnings.catch_warnings():
            # PyTorch warns about the pickle protocols of other programs; it reads or refuses them.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(path, str(error))) from error
    except _DAMAGED as error:
        raise CheckpointError(
            f"{path} is truncated or no PyTorch checkpoint; download or copy it again"
        ) from error


def _inspect_archive(path: Path) -> None:
    """Look at an archive's list of contents before it is unpacked.

    Raises:
        CheckpointError: it would unpack to many times its size, or is a program.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
        inside = {name.partition("/")[2] for name in archive.namelist()}
    size = path.stat().st_size
    if unpacked > MOST_UNPACKED * size + SMALL_ARCHIVE:
        raise CheckpointError(
            f"{path} has {size / 2**20:.0f} MiB and would unpack to {unpacked / 2**20:.0f}, which "
            "no weights do; get the file again"
        )

    for mark, program in _PROGRAMS.items():
        if mark in inside:
            raise CheckpointError(
                f"{path} is {program}, not weights; save model.state_dict() with torch.save"
            )


def _refuse_code(path: Path) -> None:
    """Name what a zipped file asks for and must not have; others meet the unpickler's own refusal.

    Raises:
        CheckpointError: a class or function that is not known to be harmless.
    """
    if not zipfile.is_zipfile(path):
        return
    named = set(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    unknown = sorted(named - {*_DICTIONARIES, *_OBJECTS, _DEFAULTS})
    if unknown:
        raise CheckpointError(
            f"{path} asks to run {', '.join(unknown[:3])} while it is read, which swinkit never "
            "does; get the weights as .safetensors, or save only the state dict"
        )


def _refusal(path: Path, message: str) -> str:
    if "GLOBAL" in message or "Unsupported" in message:
        return (
            f"{path} asks to run code while it is read, which swinkit never does; "
            "get the weights as .safetensors, or save only the state dict"
        )
    return f"{path} is truncated or no PyTorch checkpoint; download or copy it again"


LONGEST_TEXT = 1_000_000  # characters; real configurations have ten thousand


def read_assignment(text: object, name: str) -> Any:
    """What Python text assigns to a name, as OpenMMLab records its configuration.

    Constants, lists and `dict(...)` are read from the syntax tree; anything else counts as
    unknown, None, and so does text that is no Python.
    """
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        return None
    try:
        for statement in ast.parse(text).body:
            if isinstance(statement, ast.Assign) and _target(statement) == name:
                return _constant(statement.value)
    except (SyntaxError, ValueError, RecursionError):
        pass
    return None


def _target(statement: ast.Assign) -> str | None:
    target = statement.targets[0]
    return target.id if len(statement.targets) == 1 and isinstance(target, ast.Name) else None


def _constant(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_constant(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {key.value: _constant(item) for key, item in pairs if isinstance(key, ast.Constant)}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {keyword.arg: _constant(keyword.value) for keyword in node.keywords if keyword.arg}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _constant(node.operand)
        return -inner if isinstance(inner, (int, float)) else None
    return None
