"""find_images: files, folders, patterns, and nothing."""

import os
from pathlib import Path

import pytest

from swinkit.errors import ImageError
from swinkit.images.sources import ImageFinder, find_images, passed_over


@pytest.fixture
def album(tmp_path: Path) -> Path:
    root = tmp_path / "my album ä"
    names = ["b.JPG", "a.png", "deep/er/c.tiff", "notes.txt", ".hidden.png", ".cache/x.png"]
    for name in [*names, "__MACOSX/y.png", "odd [1].png", "bands.npy"]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def test_folder_is_searched_recursively_and_sorted(album: Path) -> None:
    found = [str(path.relative_to(album)) for path in find_images(album)]
    assert found == ["a.png", "b.JPG", "bands.npy", str(Path("deep/er/c.tiff")), "odd [1].png"]


def test_one_file_is_taken_whatever_its_suffix(album: Path) -> None:
    assert find_images(album / "notes.txt") == [album / "notes.txt"]
    assert find_images(str(album / "odd [1].png")) == [album / "odd [1].png"]


def test_patterns(album: Path) -> None:
    assert [path.name for path in find_images(album / "*.png")] == ["a.png", "odd [1].png"]
    assert [path.name for path in find_images(f"{album}/**/*.tiff")] == ["c.tiff"]


def test_frames_come_in_the_order_of_time(tmp_path: Path) -> None:
    names = ["take2/f1.png", "take10/f1.png", "f2.png", "F10.png", "f1.png", "f01.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    expected = ["f01.png", "f1.png", "f2.png", "F10.png"]
    found = [str(path.relative_to(tmp_path)) for path in find_images(tmp_path)]
    assert found == [*expected, str(Path("take2/f1.png")), str(Path("take10/f1.png"))]
    assert [path.name for path in find_images(tmp_path / "*.png")] == expected


def test_linked_folders_are_followed_once(album: Path) -> None:
    loop = album / "deep" / "loop"
    try:
        os.symlink(album, loop)
    except OSError:
        pytest.skip("this file system has no symbolic links")
    assert len(find_images(album)) == 5


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("absent.png", "no such file"),
        ("deep/*.bmp", "no image matches"),
        ("*.txt", "no image matches"),
        ("empty", "no images in this folder"),
    ],
)
def test_nothing_found_is_one_line(album: Path, name: str, words: str) -> None:
    (album / "empty").mkdir()
    with pytest.raises(ImageError, match=words) as caught:
        find_images(album / name)
    assert str(album / name) in str(caught.value)


def test_files_passed_over_are_counted_by_kind_and_named(tmp_path: Path) -> None:
    names = [
        *("a.jpg", "b.HEIC", "pic.dng", "photo.jpg.1", "photo.JPG_large", "cat.jpg~", "noext"),
        *("a.txt", "b.txt", "Thumbs.db", "._a.jpg", ".DS_Store", "clip.MOV", "v1.2", "classes.txt"),
    ]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    assert passed_over(tmp_path, [tmp_path / "classes.txt"]) == [
        "passed over: 3 files with an image's suffix inside their names (cat.jpg~, "
        "photo.JPG_large, photo.jpg.1); rename them to end in it",
        "passed over: 2 .txt files (a.txt, b.txt)",
        "passed over: 1 .2 files (v1.2)",
        "passed over: 1 files without a suffix (noext)",
        "passed over: 1 raw files of cameras (pic.dng); save them as JPEG to use them",
        "passed over: 1 videos (clip.MOV); name them one by one to predict, or save their frames "
        "as JPEG",
        "passed over: 3 hidden files and those of the system (.DS_Store, ._a.jpg, Thumbs.db)",
    ]
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "1.NEF").touch()
    with pytest.raises(ImageError, match=r"1 raw files of cameras \(1\.NEF\)"):
        find_images(tmp_path / "raw")


@pytest.mark.parametrize(
    "name",
    [
        *("deep/er/c.tiff", "deep\\er\\c.tiff", "c.tiff", "c", "er/c.TIFF", "./c.tiff", "C.TIFF"),
        *("/elsewhere/data/deep/er/c.tiff", "D:\\data\\er\\c.tiff"),
    ],
)
def test_names_in_lists_are_found(album: Path, name: str) -> None:
    assert ImageFinder(album).find(name) == album / "deep" / "er" / "c.tiff"


def test_names_that_fit_two_images(tmp_path: Path) -> None:
    for folder in ("train", "test"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.jpg").touch()
    finder = ImageFinder(tmp_path)
    assert finder.find("test/1") == tmp_path / "test" / "1.jpg"
    assert finder.find("1.jpg", prefer=["train"]) == tmp_path / "train" / "1.jpg"
    assert not finder.find("1.jpg").exists()


@pytest.mark.parametrize("name", ["~x.png", "~/none.png", "a\0b.png", "x" * 5000, "..", "", "/"])
def test_names_that_are_no_files(tmp_path: Path, name: str) -> None:
    assert isinstance(ImageFinder(tmp_path).find(name), Path)
