"""UPerNet's decoder: both orders of its last steps, and the auxiliary head."""

import copy

import torch

from swinkit.segmentation.network.fcn import FCNHead
from swinkit.segmentation.network.upernet import UPerNetHead


def test_late_enlarging_changes_nothing_but_rounding() -> None:
    late = UPerNetHead((4, 6, 8), 5, 7).eval()
    early = copy.deepcopy(late)
    early.late_enlarging = False
    maps = [torch.randn(2, c, *hw) for c, hw in ((4, (17, 23)), (6, (9, 12)), (8, (5, 6)))]
    top = torch.randn(2, 5, 3, 3)
    for gradients in (False, True):
        with torch.set_grad_enabled(gradients):
            assert torch.allclose(late(maps, top), early(maps, top), atol=1e-5)
    assert late(maps, top).shape == (2, 7, 17, 23)


def test_dropout_acts_in_training_only() -> None:
    head = FCNHead(4, 8, 3, num_convs=2, dropout=0.5)
    maps = torch.randn(2, 4, 6, 6)
    assert not torch.equal(head(maps), head(maps))
    head.eval()
    assert torch.equal(head(maps), head(maps))
    assert len(head.convs) == 2
