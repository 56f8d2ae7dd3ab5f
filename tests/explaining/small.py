"""A classifier with large random weights, and a picture of a size that is not its own."""

import numpy as np
import torch

import swinkit
from swinkit.backbones.config import SwinConfig
from swinkit.classification.model import SwinClassifier
from swinkit.task.model import ModelInfo


def tiny(version: int) -> SwinClassifier:
    torch.manual_seed(version)
    config = SwinConfig(
        version=version, patch_size=2, embed_dim=8, depths=(2, 2), num_heads=(2, 4),
        window_size=4, norm_stages=(1,),
    )  # fmt: skip
    fit = swinkit.Preprocessing(size_hw=(40, 52), resize="squash")
    model = SwinClassifier(config, num_classes=3, info=ModelInfo(preprocessing=fit))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (60, 70, 3)).astype(np.uint8)
