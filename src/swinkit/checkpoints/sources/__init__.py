"""The sources: packages whose files swinkit reads and writes, and how a file is recognized.

Importing this needs no PyTorch.
"""

import re
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from swinkit.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

    from swinkit.checkpoints.sources.base import Source
    from swinkit.checkpoints.sources.tables import KeyTable

# Target of `swinkit convert --to`: module with a `SOURCE`. A new source is one line here; one that
# resembles another stands after it.
SOURCES: dict[str, str] = {
    "native": "swinkit.checkpoints.sources.native",
    "microsoft": "swinkit.checkpoints.sources.microsoft",
    "timm": "swinkit.checkpoints.sources.timm",
    "torchvision": "swinkit.checkpoints.sources.torchvision",
    "huggingface": "swinkit.checkpoints.sources.huggingface",
    "mmdet": "swinkit.checkpoints.sources.openmmlab",
    "mmseg": "swinkit.checkpoints.sources.openmmlab",
}

# (expression of a telling key, what the file is)
_OTHER_FAMILIES: tuple[tuple[str, str], ...] = (
    (r"(.*\.)?blocks\.0\.attn\.meta_mlp\..*", "timm's Swin V2 CR"),
    (r"(.*\.)?stages[._]0\.blocks\.0\.attn\.meta_mlp\..*", "timm's Swin V2 CR"),
    (r"(.*\.)?stages\.0\.blocks\.0\.attn\.w_msa\.logit_scale", "mmpretrain's Swin V2"),
    (r"(.*\.)?layers\.0\.blocks\.0\.spatial_mlp\..*", "a Swin MLP"),
    (r"(.*\.)?layers\.0\.residual_group\..*", "SwinIR or Swin2SR (image restoration)"),
    (r"(.*\.)?swinViT\..*", "a three-dimensional Swin of MONAI"),
    (r"(.*\.)?(cls_token|class_token|embeddings\.cls_token)", "a plain vision transformer"),
    (r"(.*\.)?layer1\.0\.conv1\.weight", "a ResNet"),
    (r"(.*\.)?(stages|features)[._]\d.*(dwconv|layer_scale|gamma).*", "a ConvNeXt"),
    (r"(.*\.)?(h|layers?|block)\.0\..*(mlp|ffn|self_attn).*", "a language or text model"),
)
_MOE = r"(.*\.)?layers\.\d+\.blocks\.\d+\.mlp\._?(moe|experts|gates).*"


def all_sources() -> list["Source"]:
    """Every source once, in the order of the list."""
    return [import_module(module).SOURCE for module in dict.fromkeys(SOURCES.values())]


def source_of_target(target: str) -> "Source":
    """The source that writes a layout.

    Raises:
        CheckpointError: no such layout; the message lists them.
    """
    if target not in SOURCES:
        raise CheckpointError(f"layout {target!r} is unknown; choose {', '.join(SOURCES)}")
    source: Source = import_module(SOURCES[target]).SOURCE
    return source


def recognize(state: Mapping[str, "Tensor"], origin: str) -> tuple["Source", "KeyTable"]:
    """The source, and its table, whose anchor and marks the keys carry.

    Raises:
        CheckpointError: no source fits; says what the file looks like.
    """
    sources = all_sources()
    own, *others = [source.name for source in sources]
    expected = f"expected {', '.join(others)} or {own} Swin weights"
    video = any(
        key.endswith("patch_embed.proj.weight") and value.dim() == 5 for key, value in state.items()
    )
    if video or any(re.fullmatch(_MOE, key) for key in state):
        raise CheckpointError(
            f"{origin} is {'a Video Swin' if video else 'a Swin MoE'}; {expected}"
        )
    for source in reversed(sources):
        for table in source.tables:
            if table.matches(state):
                return source, table
    for expression, name in _OTHER_FAMILIES:
        if any(re.fullmatch(expression, key) for key in state):
            raise CheckpointError(f"{origin} looks like {name}; {expected}")
    sample = ", ".join(list(state)[:3]) or "no tensors at all"
    raise CheckpointError(f"{origin} is no Swin that swinkit knows ({sample}); {expected}")
