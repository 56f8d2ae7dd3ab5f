"""Images of one name in different folders: their answers stay apart."""

import csv
import json
from pathlib import Path

import pytest
import torch

from swinkit.checkpoints.save import save
from swinkit.cli import main
from swinkit.detection.format import CocoIds
from swinkit.detection.model import create_detector
from swinkit.errors import DataError
from swinkit.images.fitting import Fit
from swinkit.images.sources import find_images, names_below

BOTH = ["camA/0000.png", "camB/0000.png"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    fit = Fit(short_side=32, long_side=64)
    model = create_detector("mask_rcnn_swin_nano", class_names=("bolt", "nut"), fit=fit)
    return save(model, tmp_path_factory.mktemp("model") / "model.safetensors")


@pytest.fixture
def cameras(tmp_path: Path, make_images) -> Path:
    for name in ("camA", "camB"):
        (path,) = make_images(tmp_path / "cameras" / name, 1)
        path.rename(path.with_name("0000.png"))
    return tmp_path / "cameras"


def predict(weights: Path, *words: object) -> int:
    return main(["predict", *map(str, words), "--weights", str(weights), "--score", "0"])


def truth(path: Path, *names: str) -> Path:
    images = [{"file_name": name, "id": number} for number, name in enumerate(names, 7)]
    categories = [{"name": "bolt", "id": 1}, {"name": "nut", "id": 2}]
    path.write_text(json.dumps({"images": images, "categories": categories}))
    return path


def test_every_output_names_the_folder(weights: Path, cameras: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = ["--json", out / "a.json", "--csv", out / "a.csv"]
    assert predict(weights, cameras, *flags, "--masks", out / "masks", "--plot", out / "plots") == 0
    entries = json.loads((out / "a.json").read_text())
    assert {(entry["file_name"], entry["image_id"]) for entry in entries} == set(
        zip(BOTH, BOTH, strict=True)
    )
    with (out / "a.csv").open(newline="") as file:
        sources = {row["source"] for row in csv.DictReader(file)}
    assert sources == {str(cameras / name) for name in BOTH}
    for kind in ("masks", "plots"):
        written = sorted((out / kind).rglob("*.png"))
        assert [path.relative_to(out / kind).as_posix() for path in written] == BOTH


def test_the_annotation_file_tells_them_apart(
    weights: Path, cameras: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = truth(tmp_path / "truth.json", "set\\camB\\0000.png", "./camA/0000.png")
    assert predict(weights, cameras, "--coco", file, "--json", "-") == 0
    entries = json.loads(capsys.readouterr().out)
    assert {(entry["file_name"], entry["image_id"]) for entry in entries} == {
        (BOTH[1], 7),
        (BOTH[0], 8),
    }
    truth(file, "other/0000.png", "more/0000.png")
    assert predict(weights, cameras, "--coco", file) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "other/0000.png" in line
    assert "more/0000.png" in line


@pytest.mark.parametrize("named", ["0000.png", "camA/0000.png"])
def test_one_entry_is_not_given_to_two_images(cameras: Path, tmp_path: Path, named: str) -> None:
    names = names_below([str(cameras)], find_images(cameras))
    with pytest.raises(DataError, match=r"camA/0000\.png and .*camB/0000\.png both fit"):
        CocoIds.of(names, truth(tmp_path / "truth.json", named))


def test_ids_are_numbers_where_these_are_one_image_alone() -> None:
    names = {"x/1.jpg": "1.jpg", "x/2.jpg": "2.jpg", "x/02.png": "02.png", "x/y.jpg": "y.jpg"}
    assert list(CocoIds.of(names).of_images.values()) == [1, "2.jpg", "02.png", "y.jpg"]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["."], BOTH),
        (["camA", "camB"], BOTH),
        (["camA/0000.png", "camB"], BOTH),
        (["*/0000.png"], BOTH),
        (["camA"], ["0000.png"]),
        (["camA/../camB/*.png"], ["0000.png"]),
    ],
)
def test_names_start_at_the_common_folder(
    cameras: Path, monkeypatch: pytest.MonkeyPatch, sources: list[str], expected: list[str]
) -> None:
    monkeypatch.chdir(cameras)
    images = [path for source in sources for path in find_images(source)]
    assert list(names_below(sources, images).values()) == expected


def test_cameras_of_the_case(weights: Path, cases_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.json"
    assert predict(weights, cases_dir / "19-same-names", "--json", out) == 0
    entries = json.loads(out.read_text())
    names = {entry["file_name"] for entry in entries}
    assert names == {f"cam{camera}/000{number}.jpg" for camera in "AB" for number in "01"}
    assert len({entry["image_id"] for entry in entries}) == 4
