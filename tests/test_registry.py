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


def write_yolo(folder: Path, make_images: Callable[..., list[Path]]) -> None:
    for image in make_images(folder / "train" / "images", 2):
        text = folder / "train" / "labels" / f"{image.stem}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("0 0.5 0.5 0.2 0.2\n")
    (folder / "data.yaml").write_text("train: train/images\nval: train/images\nnames: [cone]\n")


def test_the_folder_inside_an_unpacked_zip_is_named(
    tmp_path: Path, make_images: Callable[..., list[Path]]
) -> None:
    write_yolo(tmp_path / "boxes" / "download" / "cones", make_images)
    with pytest.raises(DataError, match=r"lies deeper, in .*download/cones \(detection, yolo\)"):
        recognize(tmp_path / "boxes")
    for name in ("cat", "dog"):
        make_images(tmp_path / "classes" / "photos-main" / "photos" / name, 2)
    with pytest.raises(DataError, match=r"photos-main/photos \(classification, folders\); name"):
        recognize(tmp_path / "classes")
    make_images(tmp_path / "scenes" / "inner" / "images", 2)
    make_images(tmp_path / "scenes" / "inner" / "masks", 2)
    assert recognize(tmp_path / "scenes").task == "segmentation"


def test_annotations_inside_class_folders_are_told(
    tmp_path: Path, make_images: Callable[..., list[Path]], caplog: pytest.LogCaptureFixture
) -> None:
    make_images(tmp_path / "samples", 2)
    write_yolo(tmp_path / "cones", make_images)
    assert recognize(tmp_path).kind == "folders"
    assert recognize(tmp_path).kind == "folders"
    (told,) = caplog.messages  # once
    assert f"to use {tmp_path / 'cones'} (detection, yolo), name that folder" in told


def test_class_folders_with_files_of_other_kinds_are_classes(
    flat_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    next(flat_folder.iterdir()).joinpath("notes.json").write_text("{}")
    assert recognize(flat_folder).kind == "folders"
    assert not caplog.messages
