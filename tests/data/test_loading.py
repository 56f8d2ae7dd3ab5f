from dataclasses import dataclass
from pathlib import Path

import torch

from swinkit.data.loading import EpochDataset, build_loader


@dataclass(frozen=True)
class Sample:
    path: Path


class Draws(EpochDataset):
    """Gives the sample's place and what chance gives it."""

    def read(self, index):
        return index, float(torch.rand(()))


def epoch_of(dataset, passes):
    loader = build_loader(dataset, batch_size=2, shuffle=True, passes=passes)
    loader.sampler.set_epoch(0)
    return [
        (int(place), float(value)) for batch in loader for place, value in zip(*batch, strict=True)
    ]


def test_passes_visit_each_sample_again_and_vary_it_anew():
    dataset = Draws([Sample(Path(str(number))) for number in range(5)])
    once = epoch_of(dataset, 1)
    thrice = epoch_of(dataset, 3)
    assert len(once) == 5
    assert sorted(place for place, _ in thrice) == sorted([0, 1, 2, 3, 4] * 3)
    assert len({value for _, value in thrice}) == 15
    assert set(once) <= set(thrice), "the first pass is that of an epoch of one"
