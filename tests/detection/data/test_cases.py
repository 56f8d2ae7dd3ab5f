"""Exports as people have them: small inputs that once were misread, each with its right value."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from swinkit.data.config import DataConfig
from swinkit.detection.data.samples import DetectionSample
from swinkit.detection.data.splits import DetectionSplits, load_detection, load_parts
from swinkit.detection.evaluate.coco import CocoEvaluator
from swinkit.detection.result import Detections
from swinkit.errors import DataError, SwinkitError

# pycocotools has not followed NumPy 2 yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

BOTH = [[10, 8, 40, 30], [50, 20, 80, 56]]  # the boxes on the first picture of most cases

POSED = [10.1, 8.3, 39.8, 30.1]  # the box beside key points


def load(path: Path) -> tuple[DetectionSplits, dict[str, list[DetectionSample]]]:
    return load_parts(DataConfig(path=path))


def told(loaded: DetectionSplits) -> str:
    return "\n".join([*loaded.notes, *map(str, loaded.problems)])


@pytest.mark.parametrize(
    ("name", "boxes", "labels", "class_names", "message"),
    [
        ("01-cvat-yolo11", BOTH, [0, 1], ("cat", "dog"), ""),
        ("02-roboflow-api-yaml", BOTH, [0, 1], ("cat", "dog"), ""),
        ("02c-val-wrong", BOTH, [0, 1], ("cat", "dog"), "val is valid/images, which is not there"),
        ("02d-names-strkeys", BOTH, [0, 1], ("cat", "dog"), ""),
        ("03-yolo-pose-kpt2", [POSED], [0], ("tiger",), "key points are not"),
        ("03b-yolo-pose-kpt3even", [POSED], [0], ("card",), "key points are not"),
        (
            "04b-yolo-floatclass-noyaml",
            [POSED, [48, 25.6, 67.2, 38.4]],
            [0, 1],
            ("class 0", "class 1"),
            "",
        ),
        ("05-coco-strings", BOTH, [0, 1], ("cat", "dog"), ""),
        ("05b-coco-catid-string", BOTH, [0, 1], ("cat", "dog"), ""),
        ("05d-coco-iscrowd-string", BOTH, [0, 1], ("cat", "dog"), ""),
        ("05e-coco-no-bbox", BOTH, [0, 1], ("cat", "dog"), ""),
        ("05f-coco-empty-bbox-list", BOTH, [0, 1], ("cat", "dog"), ""),
        ("05g-coco-seg-4coords", BOTH, [0, 1], ("cat", "dog"), "no polygon has three corners"),
        ("05m-coco-dup-cat-names", BOTH, [0, 0], ("other",), "joined with category 1"),
        ("05s-coco-split-name-case", BOTH, [0, 1], ("cat", "dog"), "'Cat' of val is 'cat'"),
        ("06d-url-query", BOTH, [0, 1], ("cat", "dog"), ""),
        ("06f-percent", BOTH, [0, 1], ("cat", "dog"), ""),
        ("06h-caseext", BOTH, [0, 1], ("cat", "dog"), ""),
        (
            "07-coco-dup-image",
            [*BOTH, [60, 2, 80, 14]],
            [0, 1, 0],
            ("cat", "dog"),
            "one picture under two ids",
        ),
        (
            "08a-exif6-ls-size-raw-boxes-upright",
            BOTH,
            [0, 1],
            ("cat", "dog"),
            "fit the upright picture",
        ),
        (
            "08d-exif6-raw-boxes",
            [[34, 10, 56, 40], [8, 50, 44, 80]],
            [0, 1],
            ("cat", "dog"),
            "stored pixels: turned",
        ),
        ("14-labelme", BOTH, [0, 1], ("cat", "dog"), ""),
        ("14c-cvat-images-xml", BOTH[:1], [0], ("cat",), ""),
        ("09i-voc-renumbered", [[4, 6, 24, 30]], [0], ("box",), "it names '002.jpg'"),
    ],
)
def test_case(
    cases_dir: Path,
    name: str,
    boxes: list[list[float]],
    labels: list[int],
    class_names: tuple[str, ...],
    message: str,
) -> None:
    loaded, parts = load(cases_dir / name)
    assert loaded.class_names == class_names
    for samples in parts.values():
        assert len(samples) == (4 if name.startswith("08") else 6)
        np.testing.assert_allclose(samples[0].boxes_xyxy, boxes, atol=0.1)
        assert samples[0].labels.tolist() == labels
        assert not any(sample.is_crowd.any() for sample in samples)
    assert message in told(loaded)
    assert bool(message) == bool(told(loaded))
    assert load_detection(DataConfig(path=cases_dir / name)).train


def test_masks_follow_their_boxes(cases_dir: Path) -> None:
    """Outlines of stored pixels are turned with the boxes."""
    _, parts = load(cases_dir / "08d-exif6-raw-boxes")
    mask = parts["all"][0].masks()[0]
    assert mask[10:40, 34:56].all()
    assert mask.sum() == 30 * 22
    loaded, _ = load(cases_dir / "05g-coco-seg-4coords")
    assert not loaded.has_masks


def test_nothing_to_learn_is_refused(cases_dir: Path) -> None:
    path = cases_dir / "05k-coco-all-crowd"
    with pytest.raises(DataError, match=r"nothing to learn: all 10 objects.* are crowds"):
        load_detection(DataConfig(path=path))


@pytest.mark.parametrize(
    "name",
    [
        *("yolo_laughs", "yolo_date", "yolo_list", "yolo_badutf"),
        *("coco_poly", "coco_counts", "coco_nul", "coco_dirjson", "voc_enc", "voc_list"),
    ],
)
def test_hostile_files_end_in_an_answer_or_a_line(cases_dir: Path, name: str) -> None:
    try:
        lines = told(load(cases_dir / "hostile" / name)[0]).splitlines()
    except SwinkitError as error:
        lines = str(error).splitlines()
        assert len(lines) == 1
    assert all(str(cases_dir / "hostile" / name) in line for line in lines)


@pytest.mark.parametrize("change", ["outlines", "widths"])
def test_what_nothing_outlines_or_finds_counts_as_in_pycocotools(
    cases_dir: Path, tmp_path: Path, change: str
) -> None:
    """Objects without an outline among others count for boxes, and those of no width are missed."""
    (tmp_path / "images").symlink_to(cases_dir / "31-ap" / "images")
    values = json.loads((cases_dir / "31-ap" / "annotations.json").read_text())
    for entry in values["annotations"][::3]:
        entry |= {"segmentation": []} if change == "outlines" else {"bbox": [20, 30, 0, 40]}
    (tmp_path / "annotations.json").write_text(json.dumps(values))
    loaded, parts = load(tmp_path)
    assert loaded.has_masks
    evaluator = CocoEvaluator(parts["all"], loaded.class_names)
    results: list[dict[str, Any]] = []
    random = np.random.default_rng(0)
    for sample in parts["all"]:
        boxes = sample.boxes_xyxy + random.normal(0, 6, sample.boxes_xyxy.shape)
        found = Detections(
            boxes_xyxy=np.sort(boxes.reshape(-1, 2, 2), axis=1).reshape(-1, 4),
            scores=random.random(len(boxes)),
            labels=sample.labels,
            class_names=loaded.class_names,
            size_hw=sample.size_hw,
            source=str(sample.path),
        )
        evaluator.update([(sample.image_id, found)])
        results += found.to_coco(sample.image_id, category_ids=loaded.category_ids)
    truth = COCO(str(tmp_path / "annotations.json"))
    peer = COCOeval(truth, truth.loadRes(results), "bbox")
    peer.evaluate()
    peer.accumulate()
    peer.summarize()
    assert evaluator.compute().box.ap == pytest.approx(peer.stats[0], abs=1e-4)
