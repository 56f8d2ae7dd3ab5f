"""Data sets and loaders: repeatable, whatever the workers, and alive beside bad files."""

import logging
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from swinkit.classification.data.dataset import (
    ClassificationDataset,
    EvalTransform,
    train_transform,
)
from swinkit.classification.data.splits import ClassificationSample
from swinkit.classification.train_config import AugmentationConfig
from swinkit.data.loading import build_loader, derive_seed, fixed_random
from swinkit.errors import DataError, ImageError
from swinkit.images.preprocessing import Preprocessing


@pytest.fixture
def samples(tmp_path: Path, make_images: Callable) -> list[ClassificationSample]:
    return [
        ClassificationSample(path, i % 3) for i, path in enumerate(make_images(tmp_path / "x", 13))
    ]


def make(
    samples: list[ClassificationSample], seed: int = 0, **settings: object
) -> ClassificationDataset:
    transform = train_transform(AugmentationConfig(), Preprocessing(size_hw=(16, 16)))
    return ClassificationDataset(samples, transform, seed=seed, **settings)


def run(dataset: ClassificationDataset, epochs: range, **settings: object) -> list[torch.Tensor]:
    loader = build_loader(dataset, batch_size=4, shuffle=True, **settings)
    seen = []
    for epoch in epochs:
        loader.sampler.set_epoch(epoch)
        seen += [torch.cat([part.flatten() for part in batch]) for batch in loader]
    return seen


def equal(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    return len(left) == len(right) and all(map(torch.equal, left, right))


def test_items(samples: list[ClassificationSample]) -> None:
    image, label, index = make(samples)[4]
    assert image.shape == (3, 16, 16)
    assert (label, index) == (1, 4)
    assert len(make(samples)) == 13


def test_workers_and_resuming_change_nothing(samples: list[ClassificationSample]) -> None:
    whole = run(make(samples), range(3))
    assert equal(whole, run(make(samples), range(3), workers=2))
    assert equal(whole[8:], run(make(samples), range(2, 3)))
    assert not equal(whole[:4], whole[4:8])
    assert not equal(whole, run(make(samples, seed=1), range(3)))


def test_items_do_not_depend_on_what_came_before(samples: list[ClassificationSample]) -> None:
    dataset = make(samples)
    expected = dataset[3][0]
    torch.rand(9)
    random.random()
    dataset[5]
    assert torch.equal(dataset[3][0], expected)
    dataset.set_epoch(1)
    assert not torch.equal(dataset[3][0], expected)
    dataset.set_epoch(0)
    assert torch.equal(dataset[3][0], expected)


def test_reading_leaves_the_generators_untouched(samples: list[ClassificationSample]) -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    python, array = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    run(make(samples), range(1))
    assert torch.equal(torch.get_rng_state(), state)
    assert random.getstate() == python
    assert (np.random.get_state()[1] == array).all()  # noqa: NPY002


def test_fixed_random_restores_after_an_error() -> None:
    state = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), fixed_random(1):
        torch.rand(1) / (1 // 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_derived_seeds_differ() -> None:
    seeds = {derive_seed(a, b, c) for a in range(5) for b in range(5) for c in range(5)}
    assert len(seeds) == 125
    assert derive_seed(1, 2, 3) == derive_seed(1, 2, 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_image_is_replaced_named_and_counted(
    samples: list[ClassificationSample], workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    samples[5].path.write_text("damaged after the scan")
    samples[6].path.unlink()
    dataset = make(samples)
    with caplog.at_level(logging.WARNING):
        loader = build_loader(dataset, batch_size=4, shuffle=False, workers=workers)
        for _ in range(2):
            indices = torch.cat([batch[2] for batch in loader]).tolist()
            labels = torch.cat([batch[1] for batch in loader]).tolist()
    assert indices == [0, 1, 2, 3, 4, 7, 7, 7, 8, 9, 10, 11, 12]
    assert labels == [index % 3 for index in indices]
    assert dataset.bad_samples() == [samples[5], samples[6]]
    if workers == 0:
        assert sum(samples[5].path.name in record.message for record in caplog.records) == 1


def test_bad_images_can_be_refused_and_cannot_loop(samples: list[ClassificationSample]) -> None:
    samples[5].path.write_text("damaged")
    with pytest.raises(ImageError, match=samples[5].path.name):
        make(samples, on_bad_image="refuse")[5]
    for sample in samples:
        sample.path.write_text("damaged")
    with pytest.raises(DataError, match="none of the 13 images"):
        make(samples)[0]


@pytest.mark.parametrize("drop_last", [False, True])
def test_processes_together_see_what_one_process_sees(
    samples: list[ClassificationSample], drop_last: bool
) -> None:
    def batches(size: int, **part: int) -> list[list[int]]:
        loader = build_loader(
            make(samples), batch_size=size, shuffle=True, drop_last=drop_last, **part
        )
        return [batch[2].tolist() for batch in loader]

    whole = batches(4)
    parts = [batches(2, rank=rank, world_size=2) for rank in (0, 1)]
    for number, expected in enumerate(whole[:3]):
        assert sorted(parts[0][number] + parts[1][number]) == sorted(expected)
    assert sum(map(len, whole)) == (12 if drop_last else 13)


def test_drop_last_never_leaves_nothing(samples: list[ClassificationSample]) -> None:
    loader = build_loader(make(samples), batch_size=50, shuffle=True, drop_last=True)
    assert [len(batch[1]) for batch in loader] == [13]


def test_bands_and_gray(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", np.random.default_rng(0).random((9, 9, 5)).astype(np.float32))
    preprocessing = Preprocessing.for_size(8, channels=5)
    sample = [ClassificationSample(tmp_path / "b.npy", 0)]
    for transform in (
        EvalTransform(preprocessing),
        train_transform(AugmentationConfig(), preprocessing),
    ):
        assert ClassificationDataset(sample, transform, channels=5)[0][0].shape == (5, 8, 8)


def test_refusals(samples: list[ClassificationSample]) -> None:
    with pytest.raises(DataError, match="at least one sample"):
        make([])
    with pytest.raises(DataError, match="batch_size"):
        build_loader(make(samples), batch_size=0, shuffle=True)
