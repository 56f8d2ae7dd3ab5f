"""From folders to checked, split samples: meaning of masks, bad input, known data sets."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scenes import (
    COLORS,
    NAMES,
    SIZE_HW,
    blocks,
    color_mask,
    flat,
    index_mask,
    palette_mask,
    picture,
)

from swinkit.data.config import DataConfig
from swinkit.data.problems import count_kinds
from swinkit.errors import DataError
from swinkit.registry import recognize
from swinkit.segmentation.data.known import CITYSCAPES, ade20k_names
from swinkit.segmentation.data.masks import IGNORE, pack, pascal_palette
from swinkit.segmentation.data.splits import (
    SegmentationSplits,
    load_parts,
    load_segmentation,
    load_segmentation_samples,
)

LABELS = blocks()


def load(root: Path, **settings: Any) -> SegmentationSplits:
    return load_segmentation(DataConfig(path=root, **settings))


def all_labels(splits: SegmentationSplits) -> list[np.ndarray]:
    return [sample.labels() for samples in splits.by_name().values() for sample in samples]


def test_flat_folders_with_a_class_list(tmp_path: Path) -> None:
    splits = load(flat(tmp_path), val_fraction=0.34)
    assert splits.class_names == NAMES
    assert len(splits.train) == 4
    assert len(splits.val) == 2
    assert splits.problems == ()
    quarter = SIZE_HW[0] * SIZE_HW[1] // 4
    assert splits.counts()["train"] == dict.fromkeys(NAMES, 4 * quarter)
    assert all(np.array_equal(labels, LABELS) for labels in all_labels(splits))
    assert "25.00 %" in splits.summary()
    assert recognize(tmp_path).task == "segmentation"
    again = load(tmp_path, val_fraction=0.34)
    assert [s.path for s in again.val] == [s.path for s in splits.val]


def test_camvid(data_dir: Path) -> None:
    splits = load(data_dir / "camvid", scan="none")
    assert [len(samples) for samples in splits.by_name().values()] == [367, 101, 233]
    assert splits.class_names[0] == "Sky"
    assert len(splits.class_names) == 11
    assert not splits.problems
    labels = splits.train[0].labels()
    assert labels.shape == (360, 480)
    assert set(np.unique(labels)) <= {*range(11), IGNORE}


@pytest.mark.parametrize("coding", ["palette", "colors", "palette of other order", "pascal rgb"])
def test_the_same_labels_in_every_coding(tmp_path: Path, coding: str) -> None:
    """A palette file whose colors are the legend's means the colors, not the numbers."""
    flat(tmp_path)
    palette = pascal_palette()
    for path in (tmp_path / "masks").iterdir():
        if coding == "palette":
            palette_mask(path, LABELS, palette)
        elif coding == "pascal rgb":
            Image.fromarray(palette[LABELS]).save(path)
        elif coding == "colors":
            color_mask(path, LABELS, COLORS)
        else:
            table = np.zeros((256, 3), np.uint8)
            table[[7, 3, 5]] = COLORS
            numbers = np.array([7, 3, 5, 0], np.uint8)[np.minimum(LABELS, 3)]
            palette_mask(path, numbers, table)
    if coding in ("colors", "palette of other order"):
        (tmp_path / "classes.txt").unlink()
        lines = [f"{name},{r},{g},{b}" for name, (r, g, b) in zip(NAMES, COLORS, strict=True)]
        (tmp_path / "legend.csv").write_text("\n".join(["name,r,g,b", *lines, "void,0,0,0"]))
    splits = load(tmp_path)
    assert splits.class_names == NAMES
    assert all(np.array_equal(labels, LABELS) for labels in all_labels(splits))
    if coding == "colors":
        assert splits.palette is not None
        assert splits.palette.tolist() == [list(color) for color in COLORS]
    if coding == "pascal rgb":
        assert "palette images saved as RGB" in splits.notes[0]
    assert not splits.problems


def test_colors_without_a_legend(tmp_path: Path) -> None:
    flat(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        color_mask(path, LABELS, COLORS)
    with pytest.raises(DataError, match=r"write .*legend\.csv") as caught:
        load(tmp_path)
    assert "(0, 0, 142)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_names_classes_are_numbered(tmp_path: Path) -> None:
    (flat(tmp_path) / "classes.txt").unlink()
    splits = load(tmp_path)
    assert splits.class_names == ("class 0", "class 1", "class 2")
    assert "no list of class names" in splits.notes[0]
    renamed = load_segmentation(DataConfig(path=tmp_path), ("a", "b", "c", "d"))
    assert renamed.class_names == ("a", "b", "c", "d")


@pytest.mark.parametrize("named", [True, False])
def test_black_and_white_masks(tmp_path: Path, named: bool) -> None:
    flat(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        index_mask(path, blocks(values=(0, 255)))
    (tmp_path / "classes.txt").unlink()
    if named:
        (tmp_path / "classes.txt").write_text("soil\ncell\n")
    splits = load(tmp_path)
    assert splits.class_names == (("soil", "cell") if named else ("background", "foreground"))
    assert set(np.unique(all_labels(splits)[0])) == {0, 1}


def test_a_models_classes_decide_the_labels(tmp_path: Path) -> None:
    flat(tmp_path)
    wanted = ("car", "tree", "road", "sky")
    splits = load_segmentation(DataConfig(path=tmp_path), wanted)
    assert splits.class_names == wanted
    expected = np.array([3, 2, 0, IGNORE], np.uint8)[np.minimum(LABELS, 3)]
    assert np.array_equal(all_labels(splits)[0], expected)
    assert splits.counts()["train"]["tree"] == 0
    with pytest.raises(DataError, match="has the class 'sky', unknown to the model"):
        load_segmentation(DataConfig(path=tmp_path), ("car", "road"))


def spoiled(root: Path) -> Path:
    """Ten sound pairs and one of each kind of bad one."""
    flat(root, 16)
    masks, images = root / "masks", root / "images"
    index_mask(masks / "00.png", blocks((12, 15)))
    index_mask(masks / "01.png", blocks(values=(0, 7, 9, 1)))
    (masks / "02.png").unlink()
    (images / "03.png").unlink()
    index_mask(masks / "04.png", np.full(SIZE_HW, 255, np.uint8))
    (masks / "05.png").write_bytes(b"nothing")
    (images / "06.png").write_bytes(b"nothing")
    return root


def test_bad_input_is_named_and_counted_and_the_rest_goes_on(tmp_path: Path) -> None:
    splits = load(spoiled(tmp_path))
    assert count_kinds(splits.problems) == {
        "missing mask": 1,
        "missing image": 1,
        "mask of another size": 1,
        "label outside the classes": 1,
        "mask without labels": 1,
        "bad mask": 1,
        "bad image": 1,
    }
    assert len(splits.train) + len(splits.val) == 10  # 01 stays, its wrong pixels void
    text = splits.summary()
    for words in ("12x15", "value 7 and 1 other values: 96 pixels taken as void", "all void"):
        assert words in text
    assert all("\n" not in str(problem) for problem in splits.problems)
    kept = next(s for s in (*splits.train, *splits.val) if s.path.name == "01.png")
    assert set(np.unique(kept.labels())) == {0, 1, IGNORE}


def test_strict_and_refuse(tmp_path: Path) -> None:
    spoiled(tmp_path)
    with pytest.raises(DataError, match="7 problems, refused because of strict"):
        load(tmp_path, strict=True)
    with pytest.raises(DataError, match="images are bad or missing"):
        load(tmp_path, on_bad_image="refuse")


def test_all_masks_bad(tmp_path: Path) -> None:
    flat(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        index_mask(path, np.full(SIZE_HW, 255, np.uint8))
    with pytest.raises(DataError, match="no training images are left"):
        load(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="no mask can be read"):
        load(tmp_path)


def test_masks_saved_as_jpeg(tmp_path: Path) -> None:
    flat(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    picture(tmp_path / "images" / "07.png", (64, 64))
    Image.fromarray(noise).save(tmp_path / "masks" / "07.png")
    problem = next(p for p in load(tmp_path).problems if p.kind == "bad mask")
    assert "saved as JPEG" in problem.done


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        load(tmp_path / "absent")
    picture(tmp_path / "a.png")
    with pytest.raises(DataError, match="no images with masks found; looked for folders"):
        load(tmp_path)


def test_samples_of_one_split(tmp_path: Path) -> None:
    for split in ("train", "val"):
        picture(tmp_path / "images" / split / "1.png")
        index_mask(tmp_path / "masks" / split / "1.png")
    samples, loaded = load_segmentation_samples(tmp_path)
    assert samples[0].path.parent.name == "val"
    assert loaded.class_names == ("class 0", "class 1", "class 2")
    with pytest.raises(DataError, match="has no images in the test split, only in"):
        load_segmentation_samples(tmp_path, split="testing")


def test_samples_without_splits_are_all_or_those_that_training_holds_out(tmp_path: Path) -> None:
    flat(tmp_path, 9)
    everything, loaded = load_segmentation_samples(tmp_path)
    assert len(everything) == 9
    assert any("has no splits: all 9 images count" in note for note in loaded.notes)
    held_out, loaded = load_segmentation_samples(tmp_path, split="val")
    trained = load_segmentation(DataConfig(path=tmp_path))
    assert [s.path for s in held_out] == [s.path for s in trained.val]
    assert not any("has no splits" in note for note in loaded.notes)


def test_balanced_weights(tmp_path: Path) -> None:
    flat(tmp_path, 4)
    for path in (tmp_path / "masks").iterdir():
        index_mask(path, blocks(values=(0, 0, 0, 0, 0, 0, 1, 2)))
    weights = load(tmp_path).class_weights()
    assert weights.mean() == pytest.approx(1)
    assert weights[1] == weights[2]
    assert weights[1] / weights[0] == pytest.approx(6)


def test_ade20k(tmp_path: Path) -> None:
    for split, folder in (("train", "training"), ("val", "validation")):
        stem = f"ADE_{split}_00000001"
        picture(tmp_path / "images" / folder / f"{stem}.jpg")
        index_mask(tmp_path / "annotations" / folder / f"{stem}.png", blocks(values=(0, 1, 150, 3)))
    splits = load(tmp_path)
    assert splits.kind == "ade20k"
    assert splits.class_names == ade20k_names()
    assert len(splits.class_names) == 150
    assert np.unique(splits.train[0].labels()).tolist() == [0, 2, 149, IGNORE]
    assert not splits.problems


@pytest.mark.parametrize("ending", ["labelIds", "labelTrainIds"])
def test_cityscapes(tmp_path: Path, ending: str) -> None:
    values = (7, 26, 0, 33) if ending == "labelIds" else (0, 13, 255, 18)
    for split in ("train", "val", "test"):
        stem = f"{split}/ulm/ulm_000000_000019"
        picture(tmp_path / "leftImg8bit" / f"{stem}_leftImg8bit.png")
        truth = (0, 0, 3, 3) if split == "test" and ending == "labelIds" else values
        index_mask(tmp_path / "gtFine" / f"{stem}_gtFine_{ending}.png", blocks(values=truth))
        index_mask(tmp_path / "gtFine" / f"{stem}_gtFine_instanceIds.png")
    splits = load(tmp_path)
    assert splits.kind == "cityscapes"
    assert splits.class_names == tuple(CITYSCAPES)
    assert np.unique(splits.train[0].labels()).tolist() == [0, 13, 18, IGNORE]
    assert splits.palette is not None
    assert splits.palette.shape == (19, 3)
    if ending == "labelIds":  # the test split is published without truth
        assert splits.test is None
        assert count_kinds(splits.problems) == {"mask without labels": 1}


def test_coco_panoptic(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "person"}, {"id": 200, "name": "grass"}]
    for split in ("train", "val"):
        folder = tmp_path / "annotations" / f"panoptic_{split}2017"
        picture(tmp_path / f"{split}2017" / "000000000009.jpg")
        segments = {5: 1, 70000: 200, 70001: 200}
        ids = np.array([5, 70000, 70001, 0])[np.minimum(LABELS, 3)]
        rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
        folder.mkdir(parents=True)
        Image.fromarray(rgb).save(folder / "000000000009.png")
        annotation = {
            "image_id": 9,
            "file_name": "000000000009.png",
            "segments_info": [{"id": i, "category_id": c} for i, c in segments.items()],
        }
        values = {
            "images": [{"id": 9, "file_name": "000000000009.jpg"}],
            "annotations": [annotation],
            "categories": categories,
        }
        folder.with_suffix(".json").write_text(json.dumps(values))
    splits = load(tmp_path)
    assert splits.kind == "coco-panoptic"
    assert splits.class_names == ("person", "grass")
    expected = np.array([0, 1, 1, IGNORE], np.uint8)[np.minimum(LABELS, 3)]
    assert np.array_equal(splits.train[0].labels(), expected)
    assert splits.counts()["val"]["grass"] == 2 * splits.counts()["val"]["person"]
    assert not splits.problems


def test_coco_semantic(tmp_path: Path) -> None:
    categories = [{"id": 92, "name": "banner"}, {"id": 93, "name": "blanket"}]
    for split in ("train", "val"):
        picture(tmp_path / "images" / f"{split}2017" / "9.jpg")
        folder = tmp_path / "annotations" / f"stuff_{split}2017_pixelmaps"
        index_mask(folder / "9.png", blocks(values=(92, 93, 0, 92)))
        file = tmp_path / "annotations" / f"stuff_{split}2017.json"
        file.write_text(json.dumps({"annotations": [], "categories": categories}))
    splits = load(tmp_path)
    assert splits.kind == "coco-semantic"
    assert splits.class_names == ("banner", "blanket")
    assert np.unique(splits.train[0].labels()).tolist() == [0, 1, IGNORE]
    (tmp_path / "annotations" / "stuff_train2017.json").write_text("{")
    with pytest.raises(DataError, match="line 1, column 2: is no JSON"):
        load(tmp_path)


def test_packed_colors() -> None:
    assert int(pack(np.array((1, 2, 3), np.uint8))) == 1 + 2 * 256 + 3 * 65536


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"segments_info": None}, "segments_info is None, no list"),
        ({"segments_info": [{"id": 5}]}, r"segments_info\[0\] is {'id': 5}, without numbers"),
        ({"segments_info": [7]}, r"segments_info\[0\] is 7"),
        ({"segments_info": [{"id": 2**70, "category_id": 1}]}, "without numbers"),
        ({"file_name": 3}, "file_name is 3, no name"),
        ({"file_name": "a\0b"}, "no name of a file"),
        ({"image_id": [1]}, r"image_id is \[1\], no number"),
        ({"file_name": "a" * 5000}, "left out"),
    ],
)
def test_panoptic_entries_that_cannot_be_used(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    sound = {
        "image_id": "9",
        "file_name": "9.png",
        "segments_info": [{"id": "5", "category_id": 1}],
    }
    picture(tmp_path / "train2017" / "9.jpg")
    folder = tmp_path / "annotations" / "panoptic_train2017"
    color_mask(folder / "9.png", LABELS, ((5, 0, 0),))
    values = {
        "images": [{"id": 9, "file_name": "9.jpg"}, 3],
        "annotations": [sound, {**sound, **change}, "text"],
        "categories": [{"id": "1", "name": "person"}, {"id": 2, "name": "grass"}],
    }
    folder.with_suffix(".json").write_text(json.dumps(values))
    assert recognize(tmp_path).task == "segmentation"
    loaded, parts = load_parts(DataConfig(path=tmp_path))
    assert len(parts["train"]) == 1
    first, second = loaded.problems[:2]
    assert second.kind == "unreadable entry"
    assert first.kind == "missing mask" or "annotations[1]" in first.where
    assert re.search(words, first.done)


@pytest.mark.parametrize("categories", [[1], [{"id": 1}], [{"id": 1, "name": "a"}] * 2, {}, None])
def test_panoptic_categories_that_cannot_be_used(tmp_path: Path, categories: Any) -> None:
    (tmp_path / "annotations" / "panoptic_train").mkdir(parents=True)
    values = {"images": [], "annotations": [], "categories": categories}
    (tmp_path / "annotations" / "panoptic_train.json").write_text(json.dumps(values))
    with pytest.raises(DataError, match=r"panoptic_train\.json|no images with masks"):
        load(tmp_path)


def test_the_panoptic_case(cases_dir: Path) -> None:
    with pytest.raises(DataError, match=r"annotations\[0\]: segments_info is None, no list"):
        load(cases_dir / "hostile" / "panoptic")
