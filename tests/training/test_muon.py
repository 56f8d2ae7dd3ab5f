"""Muon: the same steps as PyTorch's, computed as the processor likes it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from swinkit.training.muon import Muon, orthogonal


@settings(deadline=None)
@given(
    number=st.integers(1, 3),
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    seed=st.integers(),
)
def test_singular_values_near_one(number: int, rows: int, columns: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed % 2**32)
    matrices = torch.randn(number, rows, columns, generator=generator)
    made = orthogonal(matrices)
    assert made.shape == matrices.shape
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    # The iteration lifts what is not far below the largest; random matrices may have such values.
    lifted = values > 0.05 * values[:, :1]
    found = torch.linalg.vecdot(left.mT, (made @ right.mT).mT, dim=-1)
    assert (found[lifted] > 0.5).all()
    assert (found[lifted] < 1.3).all()


def test_matrices_do_not_touch_each_other() -> None:
    matrices = torch.randn(3, 12, 7)
    together = orthogonal(matrices)
    for alone, among in zip(matrices, together, strict=True):
        torch.testing.assert_close(orthogonal(alone[None])[0], among)


def test_a_matrix_of_zeros_stays() -> None:
    assert torch.equal(orthogonal(torch.zeros(1, 4, 6)), torch.zeros(1, 4, 6))


@pytest.mark.parametrize("shape", [(8, 24), (24, 8), (16, 16)])
def test_steps_are_those_of_pytorch_up_to_its_rounding(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=generator) for _ in range(2)]
    ours = [nn.Parameter(value.clone()) for value in start]
    peers = [nn.Parameter(value.clone()) for value in start]
    one = Muon([{"params": ours}], lr=0.1, weight_decay=0.3)
    other = torch.optim.Muon(peers, lr=0.1, weight_decay=0.3, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        for our, peer in zip(ours, peers, strict=True):
            our.grad = torch.randn(shape, generator=generator)
            peer.grad = our.grad.clone()
        one.step()
        other.step()
    for our, peer, before in zip(ours, peers, start, strict=True):
        moved = (our - before).square().mean().sqrt()
        assert (our - peer).abs().max() < 0.1 * moved
        assert (our - peer).square().mean().sqrt() < 0.02 * moved
