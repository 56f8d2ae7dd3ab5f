"""Weights that are laid out once must never outlive what they were made from."""

import gc
import weakref

import pytest
import torch
from torch import Tensor, nn

from swinkit.windows.kernels import linear
from swinkit.windows.kernels.linear import product, product_of_kept

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN"
)


@pytest.fixture(autouse=True)
def onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of MKL's product not all bits are the same."""
    monkeypatch.setattr(linear, "TRAINS_BY_MKL", False)


def answers(rows: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return product_of_kept(rows, weight), product(rows, weight)


@pytest.mark.parametrize("count", [1, 7, 49, 3136])
def test_the_same_bits(count: int) -> None:
    weight = nn.Parameter(torch.randn(48, 24))
    for _ in range(2):
        ours, theirs = answers(torch.randn(count, 24), weight)
        assert torch.equal(ours, theirs)


def in_place(weight: nn.Parameter) -> None:
    with torch.no_grad():
        weight.mul_(2)


def through_data(weight: nn.Parameter) -> None:
    weight.data.copy_(torch.randn_like(weight))


def other_memory(weight: nn.Parameter) -> None:
    weight.data = torch.randn_like(weight)


def by_an_optimizer(weight: nn.Parameter) -> None:
    weight.grad = torch.randn_like(weight)
    torch.optim.AdamW([weight], lr=0.1, fused=True).step()


@pytest.mark.parametrize("change", [in_place, through_data, other_memory, by_an_optimizer])
def test_a_changed_weight_is_laid_out_anew(change: object) -> None:
    weight, rows = nn.Parameter(torch.randn(48, 24)), torch.randn(9, 24)
    before, _ = answers(rows, weight)
    change(weight)  # type: ignore[operator]
    ours, theirs = answers(rows, weight)
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, before)


def test_a_weight_of_inference_mode() -> None:
    with torch.inference_mode():
        weight = torch.randn(8, 6)
        rows = torch.randn(3, 6)
        assert torch.equal(product_of_kept(rows, weight), product(rows, weight))
        weight += 1
        assert torch.equal(product_of_kept(rows, weight), product(rows, weight))


def test_nothing_stays_when_a_weight_goes() -> None:
    weight = nn.Parameter(torch.randn(8, 6))
    answers(torch.randn(3, 6), weight)
    kept = weakref.ref(linear._kept[weight].weight)
    del weight
    gc.collect()
    assert kept() is None
