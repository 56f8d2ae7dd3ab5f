"""A network for one number per image, and its result."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.swin import SwinBackbone
from swinkit.images.preprocessing import Preprocessing
from swinkit.images.reading import read_image
from swinkit.task.model import ModelInfo, TaskModel


@dataclass(frozen=True, kw_only=True)
class Level:
    source: str
    value: float


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    backbone: SwinConfig
    num_classes: int = 1


TINY = ToyConfig(
    backbone=SwinConfig(
        embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=2, norm_stages=(1,)
    )
)


class SwinToy(TaskModel[Preprocessing]):
    task = "toy"
    prepare_type = Preprocessing

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.num_classes = config.num_classes
        self.backbone = SwinBackbone(config.backbone)
        self.level = nn.Linear(config.backbone.channels[-1], 1)
        self.info = ModelInfo(preprocessing=Preprocessing.for_size(32))

    def forward(self, images: Tensor) -> Tensor:
        """`B C H W` -> `B`."""
        return self.level(self.backbone.forward_last(images).mean(1))[:, 0]

    @torch.inference_mode()
    def predict_iter(self, images: Sequence[Path]) -> Iterator[Level]:
        for path in images:
            values = torch.from_numpy(np.asarray(self.preprocessing(read_image(path))))
            yield Level(source=str(path), value=float(self(values[None])))
