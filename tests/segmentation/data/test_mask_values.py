"""What the numbers of masks mean: named, black and white, gray levels, or classes."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scenes import blocks, color_mask, flat, palette_mask

from swinkit.data.config import DataConfig
from swinkit.errors import DataError
from swinkit.segmentation.data.gray_levels import gray_levels, is_black_and_white, is_dense
from swinkit.segmentation.data.masks import pascal_palette, read_mask
from swinkit.segmentation.data.splits import SegmentationSplits, load_parts, load_segmentation

SIZE_HW = (48, 64)
Write = Callable[[Path, np.ndarray], None]


def write_png(path: Path, values: np.ndarray) -> None:
    Image.fromarray(values).save(path)


def write_jpeg(path: Path, values: np.ndarray) -> None:
    path.unlink()
    Image.fromarray(values).convert("RGB").save(path.with_suffix(".jpg"), quality=80)


def smooth(path: Path, values: np.ndarray) -> None:
    write_png(path, cv2.GaussianBlur(values, (5, 5), 1.2))


def scene(values: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Discs of the values after the first on the first; the same share for each."""
    labels = np.full(SIZE_HW, values[0], np.uint8)
    for place, value in enumerate(values[1:]):
        center = (12 + seed % 3 + 60 * place // len(values), 16 + seed % 4)
        cv2.circle(labels, center, 9, int(value), -1)
    return labels


def data_set(
    root: Path, values: tuple[int, ...], write: Write = write_png, names: str | None = None
) -> SegmentationSplits:
    flat(root)
    (root / "classes.txt").unlink()
    if names is not None:
        (root / "classes.txt").write_text(names.replace(" ", "\n"))
    for number, path in enumerate(sorted((root / "images").iterdir())):
        Image.new("RGB", SIZE_HW[::-1]).save(path)
        write(root / "masks" / path.name, scene(values, number))
    return load_segmentation(DataConfig(path=root))


@pytest.mark.parametrize("write", [smooth, write_jpeg])
@pytest.mark.parametrize("names", [None, "soil road", "road"])
def test_smoothed_black_and_white(tmp_path: Path, write: Write, names: str | None) -> None:
    splits = data_set(tmp_path, (0, 255), write, names)
    expected = {None: ("background", "foreground"), "road": ("background", "road")}
    assert splits.class_names == expected.get(names, ("soil", "road"))
    assert "from 128 on" in splits.notes[0]
    for number, sample in enumerate(sorted((*splits.train, *splits.val), key=lambda s: s.path)):
        differs = sample.labels() != scene((0, 1), number)
        assert differs.mean() < 0.02
        assert sample.labels().max() == 1
    assert not splits.problems


def test_black_and_white_with_a_legend_of_values(tmp_path: Path) -> None:
    flat(tmp_path)
    (tmp_path / "classes.json").write_text('{"255": "road", "0": "soil"}')
    (tmp_path / "classes.txt").unlink()
    for number, path in enumerate(sorted((tmp_path / "images").iterdir())):
        Image.new("RGB", SIZE_HW[::-1]).save(path)
        smooth(tmp_path / "masks" / path.name, scene((0, 255), number))
    splits = load_segmentation(DataConfig(path=tmp_path))
    assert splits.class_names == ("soil", "road")
    assert splits.counts()["train"]["road"] > 0
    assert not splits.problems


def test_one_name_is_beside_a_background(tmp_path: Path) -> None:
    assert data_set(tmp_path, (0, 1), names="road").class_names == ("background", "road")


def test_white_that_is_void_is_told(tmp_path: Path) -> None:
    flat(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        write_png(path, blocks(values=(0, 255)))
    loaded, _ = load_parts(DataConfig(path=tmp_path))
    assert any("255 is void, as more than two are named" in note for note in loaded.notes)
    with pytest.raises(DataError, match="nothing to learn"):
        load_segmentation(DataConfig(path=tmp_path))


def test_black_and_white_for_more_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="black and white, but 3 classes are named"):
        data_set(tmp_path, (0, 255), smooth, "a b c")


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ((0, 127, 255), None),
        ((0, 50, 100), None),
        ((0, 128, 255), "soil road car"),
        ((0, 85, 170, 255), None),
        ((0, 40, 80, 120), "a b c d"),
        ((0, 200), None),
    ],
)
def test_gray_levels_are_classes_in_order(
    tmp_path: Path, values: tuple[int, ...], names: str | None
) -> None:
    splits = data_set(tmp_path, values, names=names)
    wanted = names.split() if names else [f"class {number}" for number in range(len(values))]
    assert splits.class_names == tuple(wanted)
    assert "classes in order" in splits.notes[0]
    sample = min((*splits.train, *splits.val), key=lambda s: s.path)
    assert np.array_equal(sample.labels(), scene(tuple(range(len(values)))))


@pytest.mark.parametrize(
    ("values", "write", "names", "words"),
    [
        ((0, 38, 75, 200), write_png, None, "leave gaps.*add classes.json"),
        ((0, 127, 255), smooth, None, "are not exact, as smoothing or JPEG"),
        ((0, 100, 200), write_jpeg, "a b c", "are not exact, as smoothing or JPEG"),
        ((0, 1, 2), write_png, "road car", "2 classes are named.*many masks hold 2"),
    ],
)
def test_values_that_are_no_classes_are_refused(
    tmp_path: Path, values: tuple[int, ...], write: Write, names: str | None, words: str
) -> None:
    with pytest.raises(DataError, match=words) as caught:
        data_set(tmp_path, values, write, names)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("used", "levels", "dense"),
    [
        ({0, 1, 2, 255}, None, True),
        ({0, 7, 15, 255}, None, True),
        ({0, 255}, None, True),
        ({0, 20, 255}, (0, 20), False),
        ({0, 1000, 2000}, (0, 1000, 2000), False),
        (set(range(0, 256, 51)), tuple(range(0, 256, 51)), False),
        ({0, 64, 192, 255}, None, False),
        ({0, 50, 100, 255}, None, False),
        (set(range(150)), None, True),
    ],
)
def test_levels_and_numbers(used: set[int], levels: tuple[int, ...] | None, dense: bool) -> None:
    assert gray_levels(used) == levels
    assert is_dense(used) == dense


def test_colors_without_a_legend_are_all_named(tmp_path: Path) -> None:
    flat(tmp_path)
    (tmp_path / "classes.txt").unlink()
    colors = [(10 * place, 255, 7) for place in range(7)]
    for mask in (tmp_path / "masks").iterdir():
        color_mask(mask, blocks(values=range(7)), colors)
    with pytest.raises(DataError) as caught:
        load_parts(DataConfig(path=tmp_path))
    assert f"write {tmp_path / 'legend.csv'}: a first line name,r,g,b" in str(caught.value)
    assert all(str(color) in str(caught.value) for color in colors)


def test_numbers_of_classes_are_not_black_and_white() -> None:
    assert not is_black_and_white({0: 7000, **dict.fromkeys(range(1, 21), 90), 255: 500})
    assert not is_black_and_white(dict.fromkeys(range(256), 40))
    assert not is_black_and_white({0: 5000, 127: 1000, 128: 10, 200: 10, 250: 10, 255: 2000})
    assert is_black_and_white({0: 5000, 100: 10, 140: 10, 180: 10, 250: 20, 255: 2000})


def test_numbers_of_a_palette_stay_numbers(tmp_path: Path) -> None:
    """Person (15) and void of Pascal VOC are no grays."""
    palette = pascal_palette()

    def write(path: Path, values: np.ndarray) -> None:
        palette_mask(path, values, palette)

    splits = data_set(tmp_path, (0, 18, 255), write)
    assert len(splits.class_names) == 19
    assert splits.counts()["train"]["class 18"] > 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("_classes.csv", "Pixel Value, Class\n0, soil\n3, road\n7, car\n"),
        ("classes.csv", "name;id\nsoil;0\nroad;3\ncar;7\n"),
        ("classes.txt", "0 soil\n3 road\n7 car\n"),
        ("labels.txt", "soil: 0\nroad: 3\ncar: 7\n"),
        ("classes.json", '{"0": "soil", "7": "car", "3": "road"}'),
        ("classes.json", '{"soil": 0, "car": "7", "road": 3.0}'),
        (
            "classes.json",
            '{"categories": [{"id": 3, "name": "road"}, {"id": 7, "name": "car"}, '
            '{"id": 0, "name": "soil"}]}',
        ),
    ],
)
def test_legends_of_values(tmp_path: Path, name: str, text: str) -> None:
    flat(tmp_path)
    (tmp_path / "classes.txt").unlink()
    (tmp_path / name).write_text(text)
    for path in (tmp_path / "masks").iterdir():
        write_png(path, blocks(values=(0, 3, 7, 255)))
    splits = load_segmentation(DataConfig(path=tmp_path))
    counts = splits.counts()["train"]
    assert set(counts) == {"soil", "road", "car"}
    order = [splits.class_names.index(n) for n in ("soil", "road", "car")]
    assert np.array_equal(splits.train[0].labels()[0, ::4], [*order, 255])
    assert not splits.problems


def test_black_and_white_without_names_is_evaluated_with_the_models(tmp_path: Path) -> None:
    data_set(tmp_path, (0, 255))
    splits = load_segmentation(DataConfig(path=tmp_path), ("soil", "road"))
    assert splits.class_names == ("soil", "road")
    with pytest.raises(DataError, match="unknown to the model"):
        load_segmentation(DataConfig(path=tmp_path), ("soil", "road", "car"))


def test_arrays_as_masks(tmp_path: Path) -> None:
    values = np.array([[-1, 0, 2, 300]] * 4, np.int32)
    np.save(tmp_path / "m.npy", values)
    assert read_mask(tmp_path / "m.npy").codes[0].tolist() == [255, 0, 2, 300]
    np.save(tmp_path / "f.npy", values / 3)
    with pytest.raises(Exception, match=r"save \(H, W\) whole numbers"):
        read_mask(tmp_path / "f.npy")


def test_the_cases(cases_dir: Path) -> None:
    for name, names in (
        ("10b-binary-antialiased", ("background", "foreground")),
        ("10c-binary-jpeg", ("background", "foreground")),
        ("10h-binary-antialiased-classes", ("background", "road")),
    ):
        splits = load_segmentation(DataConfig(path=cases_dir / name))
        assert splits.class_names == names
        assert 0.25 < splits.counts()["train"][names[1]] / (5 * 64 * 96) < 0.35
        assert not splits.problems
        assert "128" in splits.notes[0]
    for name in ("10k-gray-127-255", "10m-gap-values"):
        splits = load_segmentation(DataConfig(path=cases_dir / name))
        assert list(splits.counts()["train"].values()) == [5 * 4404, 5 * 660, 5 * 1080]
    splits = load_segmentation(DataConfig(path=cases_dir / "35-roboflow-png-mask"))
    assert json.dumps(splits.counts()["val"]) == (
        '{"background": 7608, "road": 2400, "roof": 1200, "pond": 1080}'
    )
