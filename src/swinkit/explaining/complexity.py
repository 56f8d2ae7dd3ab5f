"""The cost of windows against the cost of global attention (2103.14030, equations 1 and 2).

MSA over a map of h w tokens with C channels takes 4 h w C^2 + 2 (h w)^2 C multiply-adds, W-MSA
with windows of M^2 tokens 4 h w C^2 + 2 M^2 h w C: linear in the map. Here each term stands by
itself, for the map as it is and, as the network computes it, padded to whole windows.

Legend: h w map in tokens, C channels, M window, T = Mh * Mw tokens per window, P slots of the
padded map, N heads.
"""

from dataclasses import asdict, dataclass
from typing import Any

from swinkit.backbones.config import SwinConfig
from swinkit.settings import SizeHW
from swinkit.windows.layout import ceil_div
from swinkit.windows.position_bias import V2_HIDDEN


@dataclass(frozen=True, kw_only=True)
class AttentionCost:
    """Multiply-adds of one attention layer, term by term.

    Attributes:
        qkv: 3 h w C^2, query, key and value.
        product: h w C times the tokens that each token looks at, q k^T.
        mean: as many, the weighted mean of the values.
        projection: h w C^2.
    """

    qkv: int
    product: int
    mean: int
    projection: int

    @property
    def total(self) -> int:
        return self.qkv + self.product + self.mean + self.projection


def attention_cost(tokens: int, channels: int, seen: int) -> AttentionCost:
    """Of `tokens` tokens, each of which looks at `seen` tokens.

    >>> attention_cost(56 * 56, 96, 56 * 56).total == 4 * 56**2 * 96**2 + 2 * 56**4 * 96
    True
    >>> attention_cost(56 * 56, 96, 7 * 7).total == 4 * 56**2 * 96**2 + 2 * 49 * 56**2 * 96
    True
    """
    return AttentionCost(
        qkv=3 * tokens * channels**2,
        product=tokens * seen * channels,
        mean=tokens * seen * channels,
        projection=tokens * channels**2,
    )


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """Multiply-adds of one stage.

    Attributes:
        size_hw: its map, in tokens. padded_hw: the same in whole windows.
        channels, depth: C and its blocks.
        windows: W-MSA of one block on the padded map; `exact` W-MSA on the map as it is, the
            paper's formula.
        everywhere: MSA of one block on the map as it is: what a ViT of the same width would pay.
        position_bias: of one block, V2's MLP; 0 in V1.
        mlp: of one block, on the padded map.
        merging: of the patch merging before the stage; 0 in the first.
    """

    size_hw: SizeHW
    padded_hw: SizeHW
    channels: int
    depth: int
    windows: AttentionCost
    exact: AttentionCost
    everywhere: AttentionCost
    position_bias: int
    mlp: int
    merging: int

    @property
    def total(self) -> int:
        """What the stage computes."""
        block = self.windows.total + self.position_bias + self.mlp
        return self.merging + self.depth * block


@dataclass(frozen=True, kw_only=True)
class Complexity:
    """Multiply-adds of a backbone for one image.

    Attributes:
        image_hw: in pixels.
        patch_embed: of the patch embedding.
        stages: in order.
    """

    image_hw: SizeHW
    patch_embed: int
    stages: tuple[StageCost, ...]

    @property
    def total(self) -> int:
        """What the backbone computes; a counted forward pass gives the same number."""
        return self.patch_embed + sum(stage.total for stage in self.stages)

    @property
    def attention(self) -> int:
        """The two terms that differ: q k^T and the mean, in windows."""
        return sum(s.depth * (s.windows.product + s.windows.mean) for s in self.stages)

    @property
    def global_attention(self) -> int:
        """The same two terms, everywhere."""
        return sum(s.depth * (s.everywhere.product + s.everywhere.mean) for s in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the totals included."""
        return {
            **asdict(self),
            "total": self.total,
            "attention": self.attention,
            "global_attention": self.global_attention,
        }


def complexity(config: SwinConfig, image_hw: SizeHW) -> Complexity:
    """The cost of a backbone for an image of any size.

    >>> from swinkit import SwinConfig
    >>> cost = complexity(SwinConfig(), (224, 224))
    >>> [(stage.size_hw, stage.channels) for stage in cost.stages]
    [((56, 56), 96), ((28, 28), 192), ((14, 14), 384), ((7, 7), 768)]
    """
    patch = config.patch_size
    size = (ceil_div(image_hw[0], patch), ceil_div(image_hw[1], patch))
    embed = size[0] * size[1] * config.embed_dim * config.in_channels * patch**2
    stages = []
    for stage in range(config.num_stages):
        stages.append(_stage(config, stage, size))
        size = (ceil_div(size[0], 2), ceil_div(size[1], 2))
    return Complexity(image_hw=image_hw, patch_embed=embed, stages=tuple(stages))


def _stage(config: SwinConfig, stage: int, size_hw: SizeHW) -> StageCost:
    channels, (high, wide) = config.channels[stage], config.windows[stage]
    padded = (ceil_div(size_hw[0], high) * high, ceil_div(size_hw[1], wide) * wide)
    tokens, slots, in_window = size_hw[0] * size_hw[1], padded[0] * padded[1], high * wide
    hidden = int(channels * config.mlp_ratio)
    bias = 0
    if config.version == 2:
        places = (2 * high - 1) * (2 * wide - 1)
        bias = places * V2_HIDDEN * (2 + config.num_heads[stage])
    return StageCost(
        size_hw=size_hw,
        padded_hw=padded,
        channels=channels,
        depth=config.depths[stage],
        windows=attention_cost(slots, channels, in_window),
        exact=attention_cost(tokens, channels, in_window),
        everywhere=attention_cost(tokens, channels, tokens),
        position_bias=bias,
        mlp=2 * slots * channels * hidden,
        merging=slots * 2 * channels**2 if stage else 0,
    )
