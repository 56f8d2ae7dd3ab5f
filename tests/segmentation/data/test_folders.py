"""Pairs of image and mask in the layouts that exist outside."""

from pathlib import Path

import pytest
from scenes import index_mask, picture

from swinkit.segmentation.data.files import is_segmentation
from swinkit.segmentation.data.folders import find_pairs, folder_meaning, stem_of

LAYOUTS = {
    "camvid": ("images/{split}/{stem}.jpg", "masks/{split}/{stem}.png"),
    "split first": ("{split}/images/{stem}.png", "{split}/masks/{stem}.png"),
    "glued": ("{split}/{stem}.png", "{split}annot/{stem}.png"),
    "underscore": ("{split}/{stem}.png", "{split}_labels/{stem}_L.png"),
    "deep": ("data/Images/{split}/a b/{stem}.jpg", "data/Ground Truth/{split}/a b/{stem}.png"),
    "suffix": ("{split}/{stem}_sat.jpg", "{split}/{stem}_mask.png"),
    "side by side": ("{split}/{stem}.jpg", "{split}/{stem}.png"),
    "years": ("{split}2017/{stem}.jpg", "stuffthingmaps/{split}2017/{stem}.png"),
    "ade": ("images/{split}/{stem}.jpg", "annotations/{split}/{stem}.png"),
    "masks without splits": ("images/{split}/{stem}.jpg", "masks/{stem}.png"),
}
SPLIT_NAMES = {"ade": {"train": "training", "val": "validation"}}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path: Path, layout: str) -> None:
    image, mask = LAYOUTS[layout]
    for split in ("train", "val"):
        folder = SPLIT_NAMES.get(layout, {}).get(split, split)
        for number in range(3):
            stem = f"{split} {number}"
            picture(tmp_path / image.format(split=folder, stem=stem))
            index_mask(tmp_path / mask.format(split=folder, stem=stem))
    found = find_pairs(tmp_path)
    assert {split: len(pairs) for split, pairs in found.by_split.items()} == {"train": 3, "val": 3}
    assert not found.without_mask
    assert not found.without_image
    for split, pairs in found.by_split.items():
        for pair in pairs:
            assert split in pair.path.stem
            assert stem_of(pair.path.stem) == stem_of(pair.mask_path.stem)
            assert pair.path != pair.mask_path


def test_pascals_folders_and_lists(tmp_path: Path) -> None:
    for number in range(6):
        picture(tmp_path / "JPEGImages" / f"{number}.jpg")
        picture(tmp_path / "SegmentationObject" / f"{number}.png")
        if number < 5:
            index_mask(tmp_path / "SegmentationClass" / f"{number}.png")
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("0\n1\n2\n")
    (lists / "val.txt").write_text("3\n")
    found = find_pairs(tmp_path)
    assert {split: len(pairs) for split, pairs in found.by_split.items()} == {"train": 3, "val": 1}
    assert found.without_mask == []  # number 5 is in no list


def test_missing_partners(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "images" / f"{number}.png")
        index_mask(tmp_path / "masks" / f"{number + 1}.png")
    found = find_pairs(tmp_path)
    assert found.count() == 2
    assert [path.name for path in found.without_mask] == ["0.png"]
    assert [path.name for path in found.without_image] == ["3.png"]


def test_the_same_stem_in_two_folders(tmp_path: Path) -> None:
    for city in ("ulm", "bonn"):
        picture(tmp_path / "images" / city / "1.png")
        index_mask(tmp_path / "masks" / city / "1.png")
    found = find_pairs(tmp_path)
    assert found.count() == 2
    pairs = found.by_split["all"]
    assert all(pair.path.parent.name == pair.mask_path.parent.name for pair in pairs)


def test_a_folder_of_classes_has_no_pairs(tmp_path: Path) -> None:
    for name in ("with_mask", "without_mask"):
        for split in ("train", "val"):
            picture(tmp_path / split / name / "1.png")
    assert find_pairs(tmp_path).count() == 0
    for name in ("cat", "dog"):
        picture(tmp_path / "pets" / name / "1.png")
    assert find_pairs(tmp_path / "pets").count() == 0


@pytest.mark.parametrize(
    ("parts", "role", "split"),
    [
        (("JPEGImages",), "image", None),
        (("trainannot",), "mask", "train"),
        (("gtFine", "val", "ulm"), "mask", "val"),
        (("leftImg8bit", "train", "ulm"), "image", "train"),
        (("SegmentationObject",), "other", None),
        (("holiday",), None, None),
        (("training_set",), None, None),
    ],
)
def test_what_folder_names_tell(
    parts: tuple[str, ...], role: str | None, split: str | None
) -> None:
    place = folder_meaning(parts)
    assert place.role == role
    if parts != ("training_set",):
        assert place.split == split
    else:
        assert place.split == "train"


def test_pictures_beside_the_folder_of_images_are_no_images(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "train" / "image" / f"{number}.png")
        index_mask(tmp_path / "train" / "label" / f"{number}.png")
        for copy in range(4):
            picture(tmp_path / "train" / "aug" / f"image_{number}_{copy}.png")
        picture(tmp_path / "test" / f"{number}.png")
    picture(tmp_path / "train" / "image" / "3.png")
    found = find_pairs(tmp_path)
    assert {split: len(pairs) for split, pairs in found.by_split.items()} == {"train": 3}
    assert [path.name for path in found.without_mask] == ["3.png"]
    assert len(found.unlabeled) == 3
    assert any("12 pictures in train/aug have no masks" in note for note in found.notes)
    assert is_segmentation(tmp_path)
