"""The Swin Transformer backbone: an image becomes a pyramid of maps (paper, figure 3a).

image -> patches -> windows -> [merge] -> blocks (W-MSA and SW-MSA in turn) -> ... -> pyramid

Legend: B batch, H W pixels, h w tokens of a map, C channels, L = h * w,
P slots of the padded map in window order.
"""

from collections import OrderedDict
from collections.abc import Collection
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from swinkit.backbones.block import BlockGeometry, SwinBlock
from swinkit.backbones.config import SwinConfig
from swinkit.backbones.patch_embed import PatchEmbed
from swinkit.backbones.patch_merging import PatchMerging
from swinkit.backbones.stage_plan import StagePlan, plan_stage
from swinkit.errors import ConfigError, ImageError
from swinkit.settings import SizeHW
from swinkit.windows.layout import move_tokens

# Plans of this many image sizes are kept: a few bytes per token, and a mask per seam window.
KEPT_PLANS = 16

Taps = dict[str, Tensor | None]


class SwinStage(nn.Module):
    """Patch merging (stages 2 to 4), then blocks of W-MSA and SW-MSA in turn."""

    def __init__(self, config: SwinConfig, stage: int, drop_path_rates: list[float]) -> None:
        super().__init__()
        self.gradient_checkpointing = config.gradient_checkpointing
        channels = config.channels[stage]
        if stage > 0:
            self.merge = PatchMerging(channels // 2, version=config.version)
        self.blocks = nn.ModuleList(
            SwinBlock(
                channels,
                config.num_heads[stage],
                config.windows[stage],
                version=config.version,
                mlp_ratio=config.mlp_ratio,
                qkv_bias=config.qkv_bias,
                pretrained_window_hw=config.pretrained_windows[stage],
                drop_path_rate=rate,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
                kernel=config.attention,
            )
            for rate in drop_path_rates
        )

    def forward(self, tokens: Tensor, plan: StagePlan, name: str, taps: Taps) -> Tensor:
        """Tokens as the stage before leaves them (stage 1: row-major `B L C`) -> `B P C`."""
        if hasattr(self, "merge"):
            tokens = self.merge(tokens, plan.enter)
        else:
            tokens = move_tokens(tokens, plan.enter)
        for number, block in enumerate(self.blocks):
            if plan.turns is not None and number > 0:
                tokens = move_tokens(tokens, plan.turns[(number + 1) % 2])
            geometry = plan.geometries[number % 2]
            _tap_weights(taps, f"{name}.blocks.{number}.attention", block, tokens, geometry)
            tokens = self._run(block, tokens, geometry)
        return tokens

    def _run(self, block: nn.Module, tokens: Tensor, geometry: BlockGeometry) -> Tensor:
        if torch.is_grad_enabled():
            if self.gradient_checkpointing and self.training:
                return checkpoint(block, tokens, geometry, use_reentrant=False)
            return block(tokens, geometry)
        if tokens.device.type == "cpu" and not torch.compiler.is_compiling():
            block.update_(tokens, geometry)  # type: ignore[operator]
            return tokens
        return block(tokens, geometry)


def _tap_weights(
    taps: Taps, name: str, block: nn.Module, tokens: Tensor, geometry: BlockGeometry
) -> None:
    if name in taps and isinstance(block, SwinBlock):
        windows = block.windows_for_attention(tokens, geometry)
        taps[name] = block.attention.weights(windows, geometry.mask)


class SwinBackbone(nn.Module):
    """Hierarchical vision Transformer with shifted windows, V1 or V2, for images of any size.

    Calling it gives one `B C h w` map per stage, layer-normed for the stages in
    `config.norm_stages`; `channels` and `strides` (pixels per token) describe them in order. A map
    has ceil(H / stride) x ceil(W / stride) tokens. Nothing in the module changes in forward but
    caches: the same input gives the same output whatever came before.

    Source: 2103.14030, 2111.09883; SwinTransformer in the official repositories.
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
        self._plans: OrderedDict[Any, list[StagePlan]] = OrderedDict()
        self.apply(_initialise)
        if config.version == 2:
            self._initialise_res_post_norm()

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave the kept plans behind."""
        return {**self.__dict__, "_plans": OrderedDict()}

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each map of the pyramid."""
        return self.config.channels

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels per token of each map of the pyramid."""
        return self.config.strides

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """`B in_channels H W` -> one `B C h w` map per stage.

        Raises:
            ImageError: another number of dimensions or channels, or an image without pixels.
        """
        taps: Taps = dict.fromkeys(self._map_names())
        self._run(image, taps)
        return tuple(taps[name].permute(0, 3, 1, 2) for name in self._map_names())  # type: ignore[union-attr]

    def forward_last(self, image: Tensor) -> Tensor:
        """`B in_channels H W` -> the last stage's tokens `B L C`, normed if the last stage is,
        in window order where the map fills its windows and row-major where it is padded.
        """
        tokens, plan = self._run(image, {})
        if plan.last.is_padded:
            tokens = move_tokens(tokens, plan.leave)
        return self._normed(tokens, len(self.stages) - 1)

    def intermediates(self, image: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """Named values on the way, without hooks.

        Args:
            names: "patch_embed" (`B h w C`), "stages.i" (before its norm and before merging,
                `B h w C`), "norms.i" (the pyramid's map, `B h w C`), and
                "stages.i.blocks.j.attention" (weights `B nW N T T`, windows in the order of the
                stage's layout).

        Raises:
            ConfigError: a name that this model does not have.
        """
        known = self.intermediate_names()
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise ConfigError(f"no intermediate {unknown[0]!r}; there are {', '.join(known)}")
        taps: Taps = dict.fromkeys(names)
        self._run(image, taps)
        return {name: value for name, value in taps.items() if value is not None}

    def intermediate_names(self) -> tuple[str, ...]:
        """Every name that `intermediates` takes, in the order of computation."""
        names = ["patch_embed"]
        for stage, depth in enumerate(self.config.depths):
            names += [f"stages.{stage}.blocks.{block}.attention" for block in range(depth)]
            names += [f"stages.{stage}", f"norms.{stage}"]
        return tuple(names)

    def _map_names(self) -> list[str]:
        return [f"norms.{stage}" for stage in range(len(self.stages))]

    def _run(self, image: Tensor, taps: Taps) -> tuple[Tensor, StagePlan]:
        """Fill the taps; the last stage's tokens `B P C` in window order, and its plan."""
        self._check(image)
        grid_hw = self.patch_embed.grid_hw((image.shape[-2], image.shape[-1]))
        tokens = self._add_position(self.patch_embed(image), grid_hw)
        tokens = self.dropout(tokens)
        if "patch_embed" in taps:
            taps["patch_embed"] = tokens.unflatten(1, grid_hw)
        plans = self._plans_for(grid_hw, image.device)
        for number, (stage, plan) in enumerate(zip(self.stages, plans, strict=True)):
            name = f"stages.{number}"
            tokens = stage(tokens, plan, name, taps)
            normed = f"norms.{number}"
            if name in taps or normed in taps:
                row_major = move_tokens(tokens, plan.leave)
                if name in taps:
                    taps[name] = row_major.unflatten(1, plan.size_hw)
                if normed in taps:
                    taps[normed] = self._normed(row_major, number).unflatten(1, plan.size_hw)
        return tokens, plans[-1]

    def _normed(self, tokens: Tensor, stage: int) -> Tensor:
        return self.norms[str(stage)](tokens) if str(stage) in self.norms else tokens

    def _add_position(self, tokens: Tensor, grid_hw: SizeHW) -> Tensor:
        """Add the absolute embedding, resized bicubically to this grid (detection fork)."""
        if self.absolute_position is None:
            return tokens
        position: Tensor = self.absolute_position
        if tuple(position.shape[1:3]) != grid_hw:
            position = F.interpolate(position.permute(0, 3, 1, 2), size=grid_hw, mode="bicubic")
            position = position.permute(0, 2, 3, 1)
        return tokens + position.flatten(1, 2)

    def _plans_for(self, grid_hw: SizeHW, device: torch.device) -> list[StagePlan]:
        if torch.compiler.is_compiling():
            return self._make_plans(grid_hw, device)
        key = (grid_hw, device)
        plans = self._plans.pop(key, None)
        if plans is None:
            with torch.inference_mode(False):
                plans = self._make_plans(grid_hw, device)
        self._plans[key] = plans
        while len(self._plans) > KEPT_PLANS:
            self._plans.popitem(last=False)
        return plans

    def _make_plans(self, grid_hw: SizeHW, device: torch.device) -> list[StagePlan]:
        plans: list[StagePlan] = []
        size_hw = grid_hw
        rule = self.config.small_map_rule
        for window_hw, depth in zip(self.config.windows, self.config.depths, strict=True):
            before = plans[-1] if plans else None
            plans.append(plan_stage(size_hw, window_hw, depth, rule, before, device))
            size_hw = (-(-size_hw[0] // 2), -(-size_hw[1] // 2))
        return plans

    def _check(self, image: Tensor) -> None:
        expected = self.config.in_channels
        if image.ndim != 4 or image.shape[1] != expected or 0 in image.shape[-2:]:
            raise ImageError(
                f"the model takes images of shape (batch, {expected}, height, width); "
                f"it was given {tuple(image.shape)}"
            )

    def _initialise_res_post_norm(self) -> None:
        """V2 starts with every residual branch at zero (official `_init_respostnorm`)."""
        for module in self.modules():
            if isinstance(module, SwinBlock):
                for norm in (module.norm1, module.norm2):
                    nn.init.zeros_(norm.weight)
                    nn.init.zeros_(norm.bias)


def _initialise(module: nn.Module) -> None:
    """Linear weights from a normal of 0.02 cut at two units, biases zero, as the official code."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
