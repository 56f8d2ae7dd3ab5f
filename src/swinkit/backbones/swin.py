"""The Swin Transformer backbone: an image becomes a pyramid of maps (paper, figure 3a).

image -> patches -> windows -> [merge] -> blocks (W-MSA and SW-MSA in turn) -> ... -> pyramid

Legend: B batch, H W pixels, h w tokens of a map, C channels, L = h * w,
P slots of the padded map in window order, N heads, T tokens per window, nW windows.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.backbones.block import SwinBlock
from swinkit.backbones.config import SwinConfig
from swinkit.backbones.names import get_variant
from swinkit.backbones.patch_embed import PatchEmbed
from swinkit.backbones.stage import StagePlan, SwinStage, kept_plans, plan_stages
from swinkit.errors import ConfigError, ImageError
from swinkit.settings import SizeHW
from swinkit.windows.kernels import Kernel
from swinkit.windows.layout import is_fixed, move_tokens


class SwinBackbone(nn.Module):
    """Hierarchical vision Transformer with shifted windows, V1 or V2, for images of any size.

    Calling it gives one `B C h w` map per stage, layer-normed for the stages in
    `config.norm_stages`; `channels` and `strides` (pixels per token) describe them in order. A map
    has ceil(H / stride) x ceil(W / stride) tokens. Nothing in the module changes in forward but
    caches: the same input gives the same output whatever came before.

    Source: 2103.14030, 2111.09883; SwinTransformer in the official repositories.

    >>> import torch
    >>> from swinkit import SwinBackbone, SwinConfig
    >>> config = SwinConfig(embed_dim=24, depths=(1, 2), num_heads=(1, 2), norm_stages=(0, 1))
    >>> backbone = SwinBackbone(config).eval()
    >>> [tuple(out.shape) for out in backbone(torch.rand(1, 3, 50, 70))]
    [(1, 24, 13, 18), (1, 48, 7, 9)]
    """

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(
            config.in_channels, config.embed_dim, config.patch_size, norm=config.patch_norm
        )
        self.absolute_position: nn.Parameter | None = None
        if config.absolute_position_hw is not None:
            shape = (1, *config.absolute_position_hw, config.embed_dim)
            self.absolute_position = nn.Parameter(
                nn.init.trunc_normal_(torch.empty(shape), std=0.02)
            )
        self.dropout = nn.Dropout(config.dropout)
        last = max(sum(config.depths) - 1, 1)
        rates = [config.drop_path_rate * block / last for block in range(sum(config.depths))]
        self.stages = nn.ModuleList(
            SwinStage(config, stage, rates[sum(config.depths[:stage]) :][:depth])
            for stage, depth in enumerate(config.depths)
        )
        self.norms = nn.ModuleDict(
            {str(stage): nn.LayerNorm(config.channels[stage]) for stage in config.norm_stages}
        )
        _initialize(self)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each map of the pyramid.

        >>> from swinkit import create_backbone
        >>> create_backbone("swin_nano").channels
        (48, 96, 192, 384)
        """
        return self.config.channels

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels per token of each map of the pyramid.

        >>> from swinkit import create_backbone
        >>> create_backbone("swin_nano").strides
        (2, 4, 8, 16)
        """
        return self.config.strides

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """`B in_channels H W` -> one `B C h w` map per stage.

        >>> import torch
        >>> from swinkit import create_backbone
        >>> create_backbone("swin_nano")(torch.rand(1, 3, 64, 64))[-1].shape
        torch.Size([1, 384, 4, 4])

        Raises:
            ImageError: another number of dimensions or channels, or an image without pixels.
        """
        tokens, plans = self._embed(image)  # B L C, row-major
        maps = []
        for number, (stage, plan) in enumerate(zip(self.stages, plans, strict=True)):
            tokens = stage(tokens, plan)  # merging, then blocks: B P C in window order
            normed = self._norm(move_tokens(tokens, plan.leave), number)  # B L C, row-major
            maps.append(normed.unflatten(1, plan.size_hw).permute(0, 3, 1, 2))  # B C h w
        return tuple(maps)

    def forward_last(
        self, image: Tensor, *, mask: Tensor | None = None, mask_token: Tensor | None = None
    ) -> Tensor:
        """`B in_channels H W` -> the last stage's tokens `B L C`, row-major, normed if it is.

        Args:
            mask: `B h w` bool over the patches; None hides nothing.
            mask_token: `1 1 C`, stands in the place of a hidden patch after the norm of the patch
                embedding and before the absolute position embedding (2111.09886).

        >>> import torch
        >>> from swinkit import create_backbone
        >>> create_backbone("swin_nano").forward_last(torch.rand(1, 3, 64, 64)).shape
        torch.Size([1, 16, 384])

        Raises:
            ImageError: as `forward`.
        """
        tokens, plans = self._embed(image, mask, mask_token)
        for stage, plan in zip(self.stages, plans, strict=True):
            tokens = stage(tokens, plan)
        return self._norm(move_tokens(tokens, plans[-1].leave), len(self.stages) - 1)

    def intermediates(
        self,
        image: Tensor,
        names: Collection[str],
        *,
        shifts: bool = True,
        through_attention: bool = False,
    ) -> dict[str, Tensor]:
        """Named values on the way, without hooks.

        Args:
            names: "patch_embed" (`B h w C`), "stages.i.merged" (what its first block reads),
                "stages.i.blocks.j" (what a block gives), "stages.i" (before its norm and before
                merging), "norms.i" (the pyramid's map), all `B h w C`;
                "stages.i.blocks.j.scores" (of attention, before the mask) and
                "stages.i.blocks.j.attention" (weights after softmax), `B nW N T T`, windows in the
                order of the stage's layout.
            shifts: False runs SW-MSA as W-MSA, to see what the shift does.
            through_attention: later values are computed from the weights that are named, so that
                gradients reach these; the same numbers up to rounding.

        >>> import torch
        >>> from swinkit import create_backbone
        >>> image = torch.rand(1, 3, 64, 64)
        >>> values = create_backbone("swin_nano").intermediates(
        ...     image, ["stages.3", "stages.0.blocks.1.attention"]
        ... )
        >>> {name: tuple(value.shape) for name, value in values.items()}
        {'stages.3': (1, 4, 4, 384), 'stages.0.blocks.1.attention': (1, 64, 2, 16, 16)}

        Raises:
            ConfigError: a name that this model does not have.
            ImageError: as `forward`.
        """
        known = self.intermediate_names()
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise ConfigError(f"no intermediate {unknown[0]!r}; there are {', '.join(known)}")
        tokens, plans = self._embed(image)
        if not shifts:
            grid_hw = plans[0].size_hw
            plans = plan_stages(self.config, grid_hw, image.device, fixed=True, shifts=False)
        found = {"patch_embed": tokens.unflatten(1, plans[0].size_hw)}
        stages = cast(Iterable[SwinStage], self.stages)
        for number, (stage, plan) in enumerate(zip(stages, plans, strict=True)):
            if found.keys() >= set(names):  # what comes later is not asked for
                break
            tokens, own = stage.forward_seen(
                tokens, plan, f"stages.{number}", names, through_attention=through_attention
            )
            found |= own
            row_major = move_tokens(tokens, plan.leave)
            found[f"stages.{number}"] = row_major.unflatten(1, plan.size_hw)
            found[f"norms.{number}"] = self._norm(row_major, number).unflatten(1, plan.size_hw)
        return {name: found[name] for name in names}

    def intermediate_names(self) -> tuple[str, ...]:
        """Every name that `intermediates` takes, in the order of computation.

        >>> from swinkit import create_backbone
        >>> create_backbone("swin_nano").intermediate_names()[:3]
        ('patch_embed', 'stages.0.merged', 'stages.0.blocks.0.scores')
        """
        names = ["patch_embed"]
        for stage, depth in enumerate(self.config.depths):
            names.append(f"stages.{stage}.merged")
            for block in range(depth):
                own = f"stages.{stage}.blocks.{block}"
                names += [f"{own}.scores", f"{own}.attention", own]
            names += [f"stages.{stage}", f"norms.{stage}"]
        return tuple(names)

    def _embed(
        self, image: Tensor, mask: Tensor | None = None, mask_token: Tensor | None = None
    ) -> tuple[Tensor, list[StagePlan]]:
        """`B in_channels H W` -> patches `B L C`, row-major, and the plan of each stage."""
        expected = self.config.in_channels
        if image.ndim != 4 or image.shape[1] != expected or 0 in image.shape[-2:]:
            raise ImageError(
                f"the model takes images of shape (batch, {expected}, height, width); "
                f"it was given {tuple(image.shape)}"
            )
        grid_hw = self.patch_embed.grid_hw((image.shape[-2], image.shape[-1]))
        tokens = self.patch_embed(image)  # B L C
        if mask is not None and mask_token is not None:
            hidden = mask.flatten(1).unsqueeze(2)  # B h w -> B L 1
            tokens = torch.where(hidden, mask_token.to(tokens.dtype), tokens)
        if self.absolute_position is not None:
            tokens = tokens + self._position(grid_hw)
        return self.dropout(tokens), self._plans_for(grid_hw, image)

    def _position(self, grid_hw: SizeHW) -> Tensor:
        """The absolute embedding `1 L C`, resized bicubically to this grid (detection fork)."""
        position: Any = self.absolute_position
        if tuple(position.shape[1:3]) != grid_hw:
            position = F.interpolate(position.permute(0, 3, 1, 2), size=grid_hw, mode="bicubic")
            position = position.permute(0, 2, 3, 1)
        return position.flatten(1, 2)

    def _norm(self, tokens: Tensor, stage: int) -> Tensor:
        return self.norms[str(stage)](tokens) if str(stage) in self.norms else tokens

    def _plans_for(self, grid_hw: SizeHW, image: Tensor) -> list[StagePlan]:
        if is_fixed(*grid_hw):
            return kept_plans(self.config, grid_hw, image.device)
        if torch.compiler.is_exporting():
            return plan_stages(self.config, grid_hw, image.device, fixed=False)
        from swinkit.backbones.free_plan import free_plans

        return free_plans(self.config, grid_hw, image)


def _initialize(backbone: SwinBackbone) -> None:
    """Linear weights from a normal of 0.02 cut at two units, biases zero, as the official code.

    V2 starts with every residual branch at zero (official `_init_respostnorm`).
    """
    for module in backbone.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, SwinBlock) and module.version == 2:
            for norm in (module.norm1, module.norm2):
                nn.init.zeros_(norm.weight)
                nn.init.zeros_(norm.bias)


def create_backbone(
    name: str,
    *,
    in_channels: int = 3,
    window_size: int | SizeHW | None = None,
    drop_path_rate: float | None = None,
    norm_stages: Sequence[int] | None = None,
    attention: Kernel | None = None,
    gradient_checkpointing: bool = False,
    pretrained: bool = False,
) -> SwinBackbone:
    """A bare backbone with fresh weights, giving a pyramid of normed maps.

    Args are those of `create_model`; `norm_stages` are the stages whose map is layer-normed, by
    default all.
    `swinkit.load` gives trained weights.

    >>> import torch
    >>> from swinkit import create_backbone
    >>> backbone = create_backbone("swin_nano", in_channels=4)
    >>> [tuple(out.shape) for out in backbone(torch.rand(2, 4, 64, 48))]
    [(2, 48, 32, 24), (2, 96, 16, 12), (2, 192, 8, 6), (2, 384, 4, 3)]

    Raises:
        ConfigError: an unknown name, or settings that contradict each other.
    """
    variant = get_variant(name, pretrained=pretrained)
    config = variant.config.adapted(
        in_channels=in_channels,
        window_size=window_size,
        drop_path_rate=variant.drop_path_rate if drop_path_rate is None else drop_path_rate,
        attention=attention,
        gradient_checkpointing=gradient_checkpointing,
    )
    stages = range(config.num_stages) if norm_stages is None else norm_stages
    return SwinBackbone(replace(config, norm_stages=tuple(stages)))
