"""Random samples: how many, of what, in which order."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swinkit.detection.boxes.sampling import RandomSampler


@given(st.lists(st.integers(-1, 3), max_size=60), st.integers(1, 40), st.floats(0, 1))
@settings(deadline=None)
def test_a_sample_keeps_its_limits(values: list[int], number: int, fraction: float) -> None:
    assigned = torch.tensor(values, dtype=torch.int64)
    positive, negative = RandomSampler()(assigned, number, fraction)
    assert (assigned[positive] > 0).all()
    assert (assigned[negative] == 0).all()
    assert positive.numel() == min(int((assigned > 0).sum()), int(number * fraction))
    assert negative.numel() == min(int((assigned == 0).sum()), number - positive.numel())
    for chosen in (positive, negative):
        assert (chosen.diff() > 0).all()


def test_a_sample_is_random_and_follows_the_seed() -> None:
    assigned = torch.zeros(1000, dtype=torch.int64)
    sampler = RandomSampler()
    torch.manual_seed(1)
    first = sampler(assigned, 50, 0.5)[1]
    second = sampler(assigned, 50, 0.5)[1]
    torch.manual_seed(1)
    assert torch.equal(sampler(assigned, 50, 0.5)[1], first)
    assert not torch.equal(first, second)
