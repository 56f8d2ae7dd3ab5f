"""Masked image models from weight files: their decoder, and what the paper's recipe says."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import nn

from swinkit.backbones.config import SwinConfig
from swinkit.errors import CheckpointError, ConfigError
from swinkit.pretraining.config import PUBLISHED_NEIGHBORHOOD, MaskedImageConfig
from swinkit.task.weights import Evidence, FixedSizeWeights, Tensors, describe_backbone

if TYPE_CHECKING:
    from swinkit.pretraining.model import SwinMaskedImageModel

DECODER = "decoder.projection.weight"


class MaskedImageWeights(FixedSizeWeights[MaskedImageConfig]):
    """A mask token and a decoder of one layer."""

    task = "pretraining"
    head_anchor = r"decoder\.projection\.weight"
    format_version = 3
    bias_tables: ClassVar[Literal["bicubic", "geometric"]] = "geometric"

    def read_config(self, values: Mapping[str, Any], num_classes: int | None) -> MaskedImageConfig:
        return MaskedImageConfig.from_dict(values)

    def infer(
        self, tensors: Tensors, backbone: SwinConfig, evidence: Evidence
    ) -> MaskedImageConfig:
        """Reads "neighborhood" of `evidence.settings`; what is normalized leaves no trace."""
        stride, made = backbone.strides[-1], int(tensors[DECODER].shape[0])
        if made % stride**2:
            raise CheckpointError(
                f"{evidence.origin}: the decoder makes {made} values of a token, which are no "
                f"{stride}x{stride} pixels; take task='backbone' for the rest"
            )
        settings = evidence.settings
        neighborhood = settings.get("neighborhood")
        if "neighborhood" not in settings:
            neighborhood = PUBLISHED_NEIGHBORHOOD if backbone.version == 2 else None
            how = "normalized by their surroundings" if neighborhood else "the pixels themselves"
            evidence.notes.append(f"by the published recipe: its targets are {how}")
        try:
            return MaskedImageConfig(
                backbone=backbone, out_channels=made // stride**2, neighborhood=neighborhood
            )
        except ConfigError as error:
            raise CheckpointError(f"{evidence.origin}: {error}") from error

    def class_tensors(self, tensors: Tensors, config: MaskedImageConfig) -> list[str]:
        return []

    def build(self, config: MaskedImageConfig) -> "SwinMaskedImageModel":
        from swinkit.pretraining.model import SwinMaskedImageModel

        return SwinMaskedImageModel(config)

    def graph(self, model: Any) -> tuple[nn.Module, tuple[str, ...]]:
        """Raises CheckpointError: what predicts is trained from such a model."""
        raise CheckpointError(
            "a masked image model is not exported, as it takes a mask beside each image; export "
            "what is trained from it, or its backbone: swinkit.load(FILE, task='backbone')"
        )

    def describe(self, config: MaskedImageConfig) -> str:
        decoder = f"decoder of {config.out_channels} channels for masked images"
        return f"{decoder}; {describe_backbone(config.backbone)}"


WEIGHTS = MaskedImageWeights()
