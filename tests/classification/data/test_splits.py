"""Splitting by fractions, checking, counting, and what evaluation loads."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swinkit.classification.data.folders import LabeledPath
from swinkit.classification.data.splits import (
    load_classification,
    load_classification_samples,
    read_samples,
)
from swinkit.data.config import DataConfig
from swinkit.data.splits import hold_out
from swinkit.errors import DataError


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 40), min_size=1),
    st.floats(0.05, 0.6),
    st.floats(0.05, 0.35),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_hold_out_is_a_stratified_partition_whatever_the_order(
    sizes: dict[str, int], val: float, test: float, seed: int, order: object
) -> None:
    root = Path("data")
    images = [
        LabeledPath(root / name / f"{i}.png", name) for name, n in sizes.items() for i in range(n)
    ]
    fractions = {"val": val, "test": test}
    parts = hold_out(images, fractions, seed, root, lambda image: image.label)
    assert sorted(image for part in parts.values() for image in part) == sorted(images)
    counts = {part: Counter(name for _, name in held) for part, held in parts.items()}
    for name, size in sizes.items():
        assert counts["train"][name] >= 1
        if size >= 3:
            assert counts["val"][name] >= 1
        if size >= 10:
            assert abs(counts["val"][name] - size * val) <= 1
    shuffled = list(images)
    order.shuffle(shuffled)
    moved = [LabeledPath(Path("/else/where") / path, name) for path, name in shuffled]
    elsewhere = Path("/else/where/data")
    again = hold_out(moved, fractions, seed, elsewhere, lambda image: image.label)
    for part, held in parts.items():
        assert {str(path) for path, _ in held} == {
            str(path.relative_to("/else/where")) for path, _ in again[part]
        }


def test_the_seed_chooses(flat_folder: Path) -> None:
    chosen = {
        seed: [
            s.path for s in load_classification(DataConfig(path=flat_folder, split_seed=seed)).val
        ]
        for seed in (0, 1, 2)
    }
    assert len({tuple(paths) for paths in chosen.values()}) > 1
    again = load_classification(DataConfig(path=flat_folder, split_seed=1)).val
    assert [sample.path for sample in again] == chosen[1]


def test_bad_images_are_skipped_and_named_or_refused(flat_folder: Path) -> None:
    (flat_folder / "犬" / "broken.jpg").write_text("no image")
    (flat_folder / "犬" / "empty.png").touch()
    splits = load_classification(DataConfig(path=flat_folder))
    assert sum(map(len, splits.by_name().values())) == 14
    assert len(splits.problems) == 2
    assert "broken.jpg: not an image" in splits.summary()
    with pytest.raises(DataError, match=r"2 of 16 images are bad.*broken\.jpg") as caught:
        load_classification(DataConfig(path=flat_folder, on_bad_image="refuse"))
    assert "\n" not in str(caught.value)
    unchecked = load_classification(DataConfig(path=flat_folder, scan="none"))
    assert unchecked.problems == ()
    assert len(unchecked.train) + len(unchecked.val) == 16


def test_all_images_bad(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match="all 2 images are bad"):
        load_classification(DataConfig(path=tmp_path))


def test_counts_weights_and_summary(flat_folder: Path) -> None:
    splits = load_classification(DataConfig(path=flat_folder, val_fraction=0.25))
    assert splits.counts() == {
        "train": {"chat noir": 8, "犬": 3},
        "val": {"chat noir": 2, "犬": 1},
    }
    weights = splits.class_weights()
    assert weights.dtype == np.float32
    assert weights.mean() == pytest.approx(1)
    assert weights[1] / weights[0] == pytest.approx(8 / 3)
    lines = splits.summary().splitlines()
    assert lines[0].split() == ["class", "train", "val"]
    assert lines[-1].split() == ["all", "11", "3"]


def test_given_class_names_fix_the_order(flat_folder: Path) -> None:
    names = ("犬", "oiseau", "chat noir")
    splits = load_classification(DataConfig(path=flat_folder), class_names=names)
    assert splits.class_names == names
    assert {sample.label for sample in splits.train} == {0, 2}
    assert any("oiseau" in note for note in splits.notes)
    with pytest.raises(DataError, match="chat noir"):
        load_classification(DataConfig(path=flat_folder), class_names=("犬", "x"))


def test_what_evaluation_loads(tmp_path: Path, flat_folder: Path, make_images: Callable) -> None:
    names = ("chat noir", "犬")
    assert len(load_classification_samples(flat_folder, names)) == 14
    with pytest.raises(DataError, match="has no test split; leave the split out"):
        load_classification_samples(flat_folder, names, split="test")
    with pytest.raises(DataError, match="chat noir"):
        load_classification_samples(flat_folder, ("犬",))
    parts = tmp_path / "parts"
    for split, count in (("val", 2), ("test", 3)):
        make_images(parts / split / "a", count)
    assert len(load_classification_samples(parts, ("a", "b"))) == 3
    assert len(load_classification_samples(parts, ("a", "b"), split="validation")) == 2
    with pytest.raises(DataError, match="no such file or folder"):
        load_classification_samples(tmp_path / "absent", names)


def test_samples_without_splits_are_all_or_those_that_training_holds_out(
    flat_folder: Path,
) -> None:
    (flat_folder / "chat noir" / "broken.jpg").write_bytes(b"no image")
    trained = load_classification(DataConfig(path=flat_folder))
    everything, notes = read_samples(flat_folder, trained.class_names)
    assert len(everything) == 15
    assert any("has no splits: all 15 images count" in note for note in notes)
    for split, wanted in (("val", trained.val), ("train", trained.train)):
        held, notes = read_samples(flat_folder, trained.class_names, split=split)
        assert held == wanted
        assert not any("has no splits" in note for note in notes)
