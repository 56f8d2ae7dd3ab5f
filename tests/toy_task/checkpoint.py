"""What weight files need to know of the toy."""

from collections.abc import Mapping
from typing import Any

from swinkit.backbones.config import SwinConfig
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.weights import Evidence, ImageEvidence, TaskWeights, Tensors, describe_backbone
from toy_task.model import SwinToy, ToyConfig


class ToyWeights(TaskWeights[ToyConfig]):
    task = "toy"
    head_anchor = r"level\.weight"

    def read_config(self, values: Mapping[str, Any], num_classes: int | None) -> ToyConfig:
        return ToyConfig(backbone=SwinConfig.from_dict(values["backbone"]))

    def infer(self, tensors: Tensors, backbone: SwinConfig, evidence: Evidence) -> ToyConfig:
        return ToyConfig(backbone=backbone)

    def class_tensors(self, tensors: Tensors, config: ToyConfig) -> list[str]:
        return []

    def build(self, config: ToyConfig) -> SwinToy:
        return SwinToy(config)

    def describe(self, config: ToyConfig) -> str:
        return f"{describe_backbone(config.backbone)}, one level"

    def preprocessing(self, known: ImageEvidence) -> Preprocessing:
        return known.stored


WEIGHTS = ToyWeights()
