"""Which task a folder is for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from swinkit.errors import DataError
from swinkit.registry import recognize


@pytest.mark.parametrize(
    ("name", "task", "kind"),
    [
        ("bccd", "detection", "coco"),
        ("nuclei", "detection", "coco"),
        ("clothing", "classification", "folders"),
        ("camvid", "segmentation", "masks"),
    ],
)
def test_real_sets(data_dir: Path, name: str, task: str, kind: str) -> None:
    found = recognize(data_dir / name)
    assert (found.task, found.kind) == (task, kind)


def test_lists_and_folders(flat_folder: Path, tmp_path: Path) -> None:
    assert recognize(flat_folder).kind == "folders"
    listing = tmp_path / "train.csv"
    listing.write_text("path,label\na.png,cat\n")
    assert recognize(listing).kind == "lists"
    assert recognize(tmp_path).task == "classification"


def test_a_kind_that_is_named_is_believed(tmp_path: Path) -> None:
    assert recognize(tmp_path, "voc").task == "detection"
    assert recognize(tmp_path, "folders").task == "classification"


def test_nothing_says_what_was_looked_for(
    tmp_path: Path, make_images: Callable[..., list[Path]]
) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        recognize(tmp_path / "absent")
    make_images(tmp_path / "some", 1)
    with pytest.raises(DataError, match=r"looked for COCO .* YOLO .*"):
        recognize(make_images(tmp_path / "some", 1)[0])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"looked for COCO .*classes"):
        recognize(tmp_path / "empty")
