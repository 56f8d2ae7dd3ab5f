"""The semantic branch: painted truth, its loss, and features lent to RoIs."""

import pytest
import torch
import torch.nn.functional as F

from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.network.htc import SemanticBranch, fuse, paint
from swinkit.detection.roi_config import SemanticConfig
from swinkit.errors import ConfigError

CONFIG = SemanticConfig(num_classes=4, channels=8, num_convs=1)


def target(**changes: object) -> InstanceTarget:
    masks = torch.zeros(2, 6, 6, dtype=torch.uint8)
    masks[0, :4, :4] = 1
    masks[1, 2:, 2:] = 1
    values = {
        "boxes_xyxy": torch.tensor([[0.0, 0.0, 4.0, 4.0], [2.0, 2.0, 6.0, 6.0]]),
        "labels": torch.tensor([2, 0]),
        "size_hw": (6, 6),
        "masks": masks,
    }
    return InstanceTarget(**{**values, **changes})


def test_painted_truth() -> None:
    (painted,) = paint([target()], (8, 8), CONFIG, 3, torch.device("cpu"))
    assert painted[0].tolist() == [3, 3, 3, 3, 0, 0, 255, 255]
    assert painted[3].tolist() == [3, 3, 1, 1, 1, 1, 255, 255]
    assert painted[7].tolist() == [255] * 8


def test_truth_that_cannot_be_painted() -> None:
    with pytest.raises(ConfigError, match="cannot hold 4 classes"):
        paint([target()], (8, 8), CONFIG, 4, torch.device("cpu"))
    with pytest.raises(ConfigError, match="needs masks"):
        paint([target(masks=None)], (8, 8), CONFIG, 3, torch.device("cpu"))


def test_logits_features_and_loss() -> None:
    branch = SemanticBranch(8, 3, CONFIG)
    maps = [torch.randn(2, 8, side, side) for side in (8, 4, 2)]
    logits, features = branch(maps)
    assert logits.shape == (2, 4, 4, 4)
    assert features.shape == (2, 8, 4, 4)
    labels = torch.randint(0, 4, (2, 16, 16))
    labels[1] = 255
    wanted = 0.2 * F.cross_entropy(logits[:1], labels[:1, ::4, ::4], reduction="sum") / 32
    torch.testing.assert_close(branch.loss(logits, labels, 4), wanted)
    assert branch.loss(logits, torch.full_like(labels, 255), 4) == 0


def test_features_of_boxes_are_averaged_down() -> None:
    pooled, semantic = torch.randn(3, 8, 7, 7), torch.randn(3, 8, 14, 14)
    torch.testing.assert_close(fuse(pooled, semantic), pooled + F.avg_pool2d(semantic, 2))
