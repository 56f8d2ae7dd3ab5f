"""Which family of files a set of keys belongs to."""

import re
from collections.abc import Mapping

from torch import Tensor

from swinkit.checkpoints.huggingface import HUGGINGFACE, HUGGINGFACE_BACKBONE
from swinkit.checkpoints.keymap import Source
from swinkit.checkpoints.microsoft import DETECTION_FORK, MICROSOFT
from swinkit.checkpoints.mmdet import MMDET
from swinkit.checkpoints.native_names import NATIVE
from swinkit.checkpoints.timm import TIMM
from swinkit.checkpoints.torchvision import TORCHVISION
from swinkit.checkpoints.translation import prefix_of
from swinkit.errors import CheckpointError

# Relatives with stricter marks stand before the family they resemble.
SOURCES: tuple[Source, ...] = (
    NATIVE,
    MMDET,
    TORCHVISION,
    HUGGINGFACE_BACKBONE,
    HUGGINGFACE,
    DETECTION_FORK,
    TIMM,
    MICROSOFT,
)

# (expression of a telling key, what the file is)
_STRANGERS: tuple[tuple[str, str], ...] = (
    (r"(.*\.)?blocks\.0\.attn\.meta_mlp\..*", "timm's Swin V2 CR"),
    (r"(.*\.)?stages[._]0\.blocks\.0\.attn\.meta_mlp\..*", "timm's Swin V2 CR"),
    (r"(.*\.)?layers\.0\.blocks\.0\.spatial_mlp\..*", "a Swin MLP"),
    (r"(.*\.)?layers\.0\.residual_group\..*", "SwinIR or Swin2SR (image restoration)"),
    (r"(.*\.)?swinViT\..*", "a three-dimensional Swin of MONAI"),
    (r"(.*\.)?(cls_token|class_token|embeddings\.cls_token)", "a plain vision transformer"),
    (r"(.*\.)?layer1\.0\.conv1\.weight", "a ResNet"),
    (r"(.*\.)?(stages|features)[._]\d.*(dwconv|layer_scale|gamma).*", "a ConvNeXt"),
    (r"(.*\.)?(h|layers?|block)\.0\..*(mlp|ffn|self_attn).*", "a language or text model"),
)
_MOE = r"(.*\.)?layers\.\d+\.blocks\.\d+\.mlp\._?(moe|experts|gates).*"
EXPECTED = "microsoft, timm, torchvision, transformers, mmdet/mmseg or swinkit Swin weights"


def recognise(state: Mapping[str, Tensor], where: str) -> Source:
    """The source whose anchor and marks the keys carry.

    Raises:
        CheckpointError: no source fits; says what the file looks like.
    """
    moe = any(re.fullmatch(_MOE, key) for key in state)
    video = any(
        key.endswith("patch_embed.proj.weight") and value.dim() == 5 for key, value in state.items()
    )
    if video or moe:
        raise CheckpointError(
            f"{where} is {'a Video Swin' if video else 'a Swin MoE'}; expected {EXPECTED}"
        )
    for source in SOURCES:
        if prefix_of(source, state) is not None and _fits(source, state):
            return source
    for expression, name in _STRANGERS:
        if any(re.fullmatch(expression, key) for key in state):
            raise CheckpointError(f"{where} looks like {name}; expected {EXPECTED}")
    sample = ", ".join(list(state)[:3]) or "no tensors at all"
    raise CheckpointError(f"{where} is no Swin that swinkit knows ({sample}); expected {EXPECTED}")


def _fits(source: Source, state: Mapping[str, Tensor]) -> bool:
    def met(expression: str) -> bool:
        return any(re.fullmatch(expression, key) for key in state)

    return all(map(met, source.marks)) and not any(map(met, source.absent))
