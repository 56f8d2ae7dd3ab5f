"""The mask head: one class's logits, the flow between stages, RoIs that are not there."""

import torch

from swinkit.detection.network.htc import flow_features
from swinkit.detection.network.mask import MaskHead
from swinkit.detection.roi_config import MaskHeadConfig

SMALL = MaskHeadConfig(num_convs=2, channels=8)


def test_logits_of_the_own_class() -> None:
    head = MaskHead(8, 5, SMALL)
    torch.nn.init.normal_(head.logits.bias)
    features = head.features(torch.randn(4, 8, 7, 7))
    labels = torch.tensor([4, 0, 2, 2])
    every = head.all_logits(features)
    assert every.shape == (4, 5, 14, 14)
    own = head.label_logits(features, labels)
    torch.testing.assert_close(own, every[torch.arange(4), labels])


def test_flow_adds_the_features_of_the_stage_before() -> None:
    heads = [MaskHead(8, 5, SMALL), MaskHead(8, 5, SMALL, flow=True)]
    pooled = torch.randn(3, 8, 7, 7)
    first, second = flow_features(heads, pooled)
    assert torch.equal(first, heads[0].features(pooled))
    wanted = heads[1].features(pooled + heads[1].flow(first).relu())
    assert torch.equal(second, wanted)
    assert not torch.equal(second, heads[1].features(pooled))


def test_heads_without_flow_stand_alone() -> None:
    heads = [MaskHead(8, 5, SMALL), MaskHead(8, 5, SMALL)]
    pooled = torch.randn(3, 8, 7, 7)
    assert torch.equal(flow_features(heads, pooled)[1], heads[1].features(pooled))


def test_no_rois() -> None:
    head = MaskHead(8, 5, SMALL)
    logits = head(torch.zeros(0, 8, 7, 7))
    logits.sum().backward()
    assert logits.shape == (0, 5, 14, 14)
    assert all(not parameter.grad.any() for parameter in head.parameters())
    features = head.features(torch.zeros(0, 8, 7, 7))
    assert head.label_logits(features, torch.zeros(0, dtype=torch.long)).shape == (0, 14, 14)
