"""Reading .pth files without running what they say.

torch.load(weights_only=True) refuses any class or function it does not know. Training scripts
left a few harmless ones beside the weights (settings, histories); they are read as inert
stand-ins, which keep nothing and do nothing. Everything else is refused by name.
"""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from swinkit.errors import CheckpointError


class Inert(dict):  # type: ignore[type-arg]
    """Takes any arguments, state and items; keeps nothing."""

    def __new__(cls, *arguments: Any, **named: Any) -> "Inert":
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        self.clear()

    def __setitem__(self, key: Any, value: Any) -> None:
        self.clear()

    def append(self, item: Any) -> None:
        self.clear()

    def extend(self, items: Any) -> None:
        self.clear()


# Names met in published checkpoints: yacs settings (microsoft), argparse settings (torchvision),
# OpenMMLab's histories and configurations. None of the real objects is ever built.
HARMLESS = frozenset(
    {
        "argparse.Namespace",
        "yacs.config.CfgNode",
        "mmengine.logging.history_buffer.HistoryBuffer",
        "mmengine.config.config.ConfigDict",
        "mmengine.config.config.Config",
        "omegaconf.dictconfig.DictConfig",
        "lightning.fabric.utilities.data.AttributeDict",
        "lightning_fabric.utilities.data.AttributeDict",
        "pytorch_lightning.utilities.parsing.AttributeDict",
        "easydict.EasyDict",
        "addict.addict.Dict",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.ndarray",
        "numpy.dtype",
        "numpy.dtypes.Float64DType",
        "numpy.dtypes.Int64DType",
        "builtins.getattr",
        "pathlib.PosixPath",
        "pathlib.Path",
    }
)


def load_pickle(path: Path) -> Any:
    """The contents of a .pth, .pt or .bin file, tensors on the CPU.

    Raises:
        CheckpointError: it holds code, is truncated, or is no checkpoint at all.
    """
    try:
        named = _foreign_names(path)
        stand_ins: list[Any] = [(Inert, name) for name in sorted(named & HARMLESS)]
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(path, str(error))) from error
    except (RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path} is truncated or no PyTorch checkpoint; download or copy it again"
        ) from error


def _foreign_names(path: Path) -> set[str]:
    """Classes and functions the file asks for and weights_only does not know.

    Raises:
        CheckpointError: one of them is not known to be harmless.
    """
    if not zipfile.is_zipfile(path):
        return set()
    named = set(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    unknown = sorted(named - HARMLESS)
    if unknown:
        raise CheckpointError(
            f"{path} asks to run {', '.join(unknown[:3])} while it is read, which swinkit never "
            "does; get the weights as .safetensors, or save only the state dict"
        )
    return named


def _refusal(path: Path, message: str) -> str:
    if "GLOBAL" in message or "Unsupported" in message:
        return (
            f"{path} asks to run code while it is read, which swinkit never does; "
            "get the weights as .safetensors, or save only the state dict"
        )
    return f"{path} is truncated or no PyTorch checkpoint; download or copy it again"
