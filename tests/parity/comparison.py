"""One comparison for every peer: its weights, its image sizes, its logits and gradients.

The comparison runs in float64, where rounding cannot hide a difference in what is computed;
`tests/checkpoints/test_parity.py` holds float32 to 1e-5.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from swinkit.checkpoints.load import load

# V2's coordinates are float32 numbers, which packages derive in different orders.
TOLERANCE = 1e-6
Logits = Callable[[nn.Module, Tensor], Tensor]


def worst(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference in units of the reference's largest value."""
    return float((ours - theirs).detach().abs().max() / theirs.detach().abs().max())


def compare(peer: nn.Module, sizes: list[tuple[int, int]], logits: Logits, **settings: Any) -> None:
    """Logits and the image's gradient at each size, one model of swinkit for all of them."""
    model = load(dict(peer.state_dict()), report=None, **settings).double()
    peer = peer.double()
    for size in sizes:
        image = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
        results = []
        for out in (model(image), logits(peer, image)):
            torch.manual_seed(5)
            weight = torch.randn(out.shape, dtype=out.dtype)
            results.append((out, torch.autograd.grad((out * weight).sum(), image)[0]))
        for ours, theirs in zip(*results, strict=True):
            assert worst(ours, theirs) <= TOLERANCE, size
        with torch.no_grad():
            assert worst(model(image), results[1][0]) <= TOLERANCE, size
