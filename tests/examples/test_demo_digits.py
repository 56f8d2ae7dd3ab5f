"""The handwritten digits of scikit-learn as folders."""

import sys
from pathlib import Path

import pytest

from demo_digits import write_digits
from swinkit.classification.data.splits import load_classification
from swinkit.data.config import DataConfig
from swinkit.errors import DataError
from swinkit.images.reading import read_image


def listing(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}


def test_digits(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    folder = write_digits(tmp_path / "digits")
    splits = load_classification(DataConfig(path=folder, channels=1))
    assert splits.class_names == tuple("0123456789")
    assert len(splits.train) + len(splits.val) + len(splits.test or []) == 1797
    assert len(splits.val) == pytest.approx(180, abs=6)
    assert len(splits.test or []) == pytest.approx(359, abs=6)
    image = read_image(splits.train[0].path)
    assert image.shape == (32, 32, 3)
    assert image.max() > 200

    first = listing(folder)
    stamp = splits.train[0].path.stat().st_mtime_ns
    write_digits(folder)
    assert splits.train[0].path.stat().st_mtime_ns == stamp
    splits.train[0].path.unlink()
    write_digits(folder)
    assert listing(folder) == first
    write_digits(folder, seed=1)
    other = listing(folder)
    assert len(other) == 1797
    assert other != first


def test_without_scikit_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r"pip install 'swinkit\[demo\]'"):
        write_digits(tmp_path)
