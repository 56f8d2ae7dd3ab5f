"""A mask for each class and picture; and layouts that once were taken for classes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scenes import SIZE_HW, blocks, index_mask, palette_mask, picture

from swinkit.data.config import DataConfig
from swinkit.data.problems import count_kinds
from swinkit.errors import DataError
from swinkit.registry import recognize
from swinkit.segmentation.data.masks import pascal_palette
from swinkit.segmentation.data.splits import SegmentationSplits, load_segmentation

EXPECTED = blocks(values=(0, 1, 2, 0))  # background, cat, dog


def load(root: Path) -> SegmentationSplits:
    assert recognize(root).task == "segmentation"
    return load_segmentation(DataConfig(path=root))


def layered(root: Path, image: str, mask: str, count: int = 6) -> Path:
    for number in range(count):
        picture(root / image.format(number))
        for label, name in enumerate(("cat", "dog"), 1):
            white = np.where(label == EXPECTED, 255, 0).astype(np.uint8)
            index_mask(root / mask.format(number, name), white)
    return root


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/im{}.jpg", "masks/im{}_{}.png"),
        ("images/im_{}.jpg", "masks/{1}-im_{0}.png"),
        ("images/im{}.png", "masks/{1}/im{0}.png"),
        ("train/images/im{}.png", "train/masks/{1}/im{0}.png"),
        ("im{}.jpg", "im{}_{}_mask.png"),
    ],
)
def test_a_mask_for_each_class(tmp_path: Path, image: str, mask: str) -> None:
    splits = load(layered(tmp_path, image, mask))
    assert splits.class_names == ("background", "cat", "dog")
    assert splits.kind == "mask per class"
    assert any("a mask for each class (cat, dog)" in note for note in splits.notes)
    samples = [*splits.train, *splits.val]
    assert len(samples) == 6
    assert all(np.array_equal(sample.labels(), EXPECTED) for sample in samples)
    assert not splits.problems


def test_layers_that_are_not_sound(tmp_path: Path) -> None:
    layered(tmp_path, "images/{}.png", "masks/{}_{}.png", 8)
    index_mask(tmp_path / "masks" / "0_dog.png", np.full(SIZE_HW, 255, np.uint8))
    index_mask(tmp_path / "masks" / "1_dog.png", blocks((5, 5), (0, 255)))
    index_mask(tmp_path / "masks" / "2_dog.png")
    (tmp_path / "masks" / "3_dog.png").unlink()
    picture(tmp_path / "images" / "9.png")
    splits = load(tmp_path)
    assert count_kinds(splits.problems) == {
        "bad mask": 2,
        "masks that overlap": 1,
        "missing mask": 1,
    }
    text = splits.summary()
    for words in ("48 pixels are of several classes", "that of another class", "4 values"):
        assert words in text, text
    assert len(splits.train) + len(splits.val) == 6


def test_a_list_orders_the_classes(tmp_path: Path) -> None:
    layered(tmp_path, "images/{}.png", "masks/{}_{}.png")
    (tmp_path / "classes.txt").write_text("ground\ndog\ncat\n")
    assert load(tmp_path).class_names == ("background", "ground", "dog", "cat")
    (tmp_path / "classes.txt").write_text("background\ndog\ncat\n")
    splits = load(tmp_path)
    assert splits.class_names == ("background", "dog", "cat")
    swapped = np.array([0, 2, 1], np.uint8)[EXPECTED]
    assert np.array_equal(splits.train[0].labels(), swapped)


def test_one_ending_of_all_masks_is_no_class(tmp_path: Path) -> None:
    for number in range(6):
        picture(tmp_path / "images" / f"{number}.png")
        index_mask(tmp_path / "masks" / f"{number}_manual.png")
    splits = load(tmp_path)
    assert splits.class_names == ("class 0", "class 1", "class 2")
    assert np.array_equal(splits.train[0].labels(), blocks())


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/im{0}.png", "masks/im{0}_{1}.png"),
        ("images/im{0}.png", "masks/im{0}_object{1}.png"),
        ("train/{0}/images/{0}.png", "train/{0}/masks/a{1}.png"),
    ],
)
def test_a_mask_for_each_object_is_refused(tmp_path: Path, image: str, mask: str) -> None:
    for number in range(4):
        picture(tmp_path / image.format(number))
        for place in range(3):
            index_mask(tmp_path / mask.format(number, place), blocks(values=(0, 255)))
    with pytest.raises(DataError, match=r"a mask for each object, such as .* as COCO"):
        recognize(tmp_path)


def test_train_image_and_train_label(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / "train" / "image" / f"{number}.png")
        index_mask(tmp_path / "train" / "label" / f"{number}.png", blocks(values=(0, 255)))
    for number in range(30):
        picture(tmp_path / "test" / f"{number}.png")
    splits = load(tmp_path)
    assert splits.class_names == ("background", "foreground")
    assert len(splits.train) + len(splits.val) == 4
    assert not splits.problems
    assert any("30 images of splits without masks" in note for note in splits.notes)


@pytest.mark.parametrize("newer", [True, False])
def test_labelmes_voc_export(tmp_path: Path, newer: bool) -> None:
    labels = np.where(blocks() == 255, -1, blocks().astype(np.int32))
    masks = "SegmentationClass" if newer else "SegmentationClassPNG"
    for number in range(6):
        stem = f"2011_{number:06}"
        picture(tmp_path / "JPEGImages" / f"{stem}.jpg")
        picture(tmp_path / "SegmentationClassVisualization" / f"{stem}.jpg")
        picture(tmp_path / "SegmentationObjectVisualization" / f"{stem}.jpg")
        palette_mask(tmp_path / masks / f"{stem}.png", blocks(), pascal_palette())
        arrays = tmp_path / ("SegmentationClassNpy" if newer else "SegmentationClass")
        arrays.mkdir(exist_ok=True)
        np.save(arrays / f"{stem}.npy", labels)
    (tmp_path / "class_names.txt").write_text("_background_\ncar\nbus\n")
    for _ in range(2):
        splits = load(tmp_path)
        assert splits.class_names == ("_background_", "car", "bus")
        assert not splits.problems
        assert np.array_equal(splits.train[0].labels(), blocks())
        for path in (tmp_path / masks).iterdir():  # then the arrays alone
            path.unlink() if path.suffix == ".png" else None


def test_labelmes_list_with_ignore(tmp_path: Path) -> None:
    for number in range(6):
        picture(tmp_path / "images" / f"{number}.jpg")
        palette_mask(tmp_path / "masks" / f"{number}.png", blocks(), pascal_palette())
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ncar\nbus\n")
    splits = load(tmp_path)
    assert splits.class_names == ("_background_", "car", "bus")
    assert np.array_equal(splits.train[0].labels(), blocks())


def test_matlab_files_get_a_reason(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / "images" / f"{number}.jpg")
        (tmp_path / "truth").mkdir(exist_ok=True)
        (tmp_path / "truth" / f"{number}.mat").write_bytes(b"MATLAB 5.0")
    with pytest.raises(DataError, match=r"MATLAB files, such as truth/0\.mat.*as a PNG"):
        recognize(tmp_path)


def test_folders_that_only_a_configuration_names(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / "x" / f"{number}.jpg")
        index_mask(tmp_path / "y" / f"{number}.png")
    (tmp_path / "config.yaml").write_text("img_dir: x\nann_dir: y\n")
    with pytest.raises(DataError, match="y seems to hold the masks of x; call the folders"):
        recognize(tmp_path)
    for number in range(4):
        picture(tmp_path / "y" / f"{number}.png", seed=number)
    assert recognize(tmp_path).task == "classification"


def test_nothing_to_learn(tmp_path: Path) -> None:
    for number in range(6):
        picture(tmp_path / "images" / f"{number}.png")
        index_mask(tmp_path / "masks" / f"{number}.png", np.zeros(SIZE_HW, np.uint8))
    (tmp_path / "classes.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match=r"hold only one class \(a\), so there is nothing to learn"):
        load_segmentation(DataConfig(path=tmp_path))
    index_mask(tmp_path / "masks" / "1.png", blocks(values=(0, 1)))
    index_mask(tmp_path / "masks" / "2.png", blocks(values=(0, 1)))
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    assert any("no training mask holds c" in note for note in load(tmp_path).notes)


def test_files_of_no_use_are_named(tmp_path: Path) -> None:
    for number in range(6):
        picture(tmp_path / "images" / f"{number}.png")
        index_mask(tmp_path / "masks" / f"{number}.png")
    for name in ("images/6.dng", "masks/6.xcf", "classes.txt"):
        (tmp_path / name).write_text("a\nb\nc\n")
    index_mask(tmp_path / "labels" / "0.png")
    text = load(tmp_path).summary()
    assert "1 raw files of cameras (6.dng)" in text
    assert "1 .xcf files (6.xcf)" in text
    assert "1 masks" in text
    assert "classes.txt" not in text


def test_a_mask_that_is_white_all_over(tmp_path: Path) -> None:
    layered(tmp_path, "images/{}.png", "masks/{}_{}.png")
    Image.new("1", SIZE_HW[::-1], 1).save(tmp_path / "masks" / "0_cat.png")
    Image.new("L", SIZE_HW[::-1], 0).save(tmp_path / "masks" / "0_dog.png")
    splits = load(tmp_path)
    sample = min((*splits.train, *splits.val), key=lambda s: s.path)
    assert (sample.labels() == 1).all()


def test_the_cases(cases_dir: Path) -> None:
    splits = load(cases_dir / "10q-mask-per-class")
    assert splits.counts()["train"] == {"background": 22020, "cat": 3300, "dog": 5400}
