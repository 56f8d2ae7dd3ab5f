"""Exported detectors against PyTorch: decoding and suppression inside the file, any size."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

import swinkit
from swinkit import SwinConfig, SwinkitError
from swinkit.checkpoints.artifact import open_engine
from swinkit.detection.config import (
    DetectorConfig,
    OutputConfig,
    RCNNConfig,
    RetinaHeadConfig,
    RetinaNetConfig,
    Suppression,
    default_roi,
    default_rpn,
)
from swinkit.detection.exported import ExportedDetector
from swinkit.detection.model import SwinDetector
from swinkit.detection.roi_config import SemanticConfig
from swinkit.engines.base import Engine
from swinkit.exporting import running
from swinkit.exporting.formats import Program, to_openvino, write_openvino
from swinkit.exporting.running import run_through
from swinkit.exporting.verify import compare_at
from swinkit.images.fitting import Fit
from swinkit.task.model import ModelInfo
from swinkit.task.views import TestAugmentation

pytestmark = pytest.mark.usefixtures("traced_once")
SIZES = ((5, 7), (9, 70), (65, 48))
OUTPUT = OutputConfig(score_threshold=0.3, max_per_image=8)
NAMES = ("cat", "dog", "hen")
onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")


def config(kind: str) -> DetectorConfig:
    """Two stages of the backbone and two of a cascade, few channels, few proposals."""
    backbone = SwinConfig(
        patch_size=2, embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=4,
        norm_stages=(0, 1), small_map_rule="keep",
    )  # fmt: skip
    common = {"backbone": backbone, "num_classes": 3, "fpn_channels": 8, "output": OUTPUT}
    if kind == "retinanet":
        common["output"] = replace(OUTPUT, score_threshold=0.05)
        return RetinaNetConfig(**common, retina=RetinaHeadConfig(num_convs=1, pre_nms=20))
    roi = default_roi(kind)
    convs = min(roi.box.num_convs, 1)
    box = replace(roi.box, num_convs=convs, conv_channels=8, fc_channels=16, roi_size=3)
    mask = roi.mask and replace(roi.mask, num_convs=1, channels=8, roi_size=4)
    semantic = SemanticConfig(num_classes=5, level=1, num_convs=1, channels=8)
    return RCNNConfig(
        **common,
        kind=kind,
        rpn=replace(default_rpn(kind), scale=4.0, test_pre_nms=30, test_proposals=20),
        roi=replace(
            roi,
            stages=roi.stages[:2],
            box=box,
            mask=mask,
            semantic=semantic if kind == "htc" else None,
        ),
    )


@lru_cache
def detector(kind: str) -> SwinDetector:
    """With weights that leave no part idle, and find something."""
    torch.manual_seed(0)
    fit = Fit(short_side=48, long_side=96)
    info = ModelInfo(class_names=NAMES, preprocessing=fit)
    model = SwinDetector.from_config(config(kind), info=info)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def check(model: SwinDetector, engine: Engine) -> None:
    """The same objects at all sizes, in batches of one and two; an answer to plain images too,
    where equal scores have no order."""
    exported = ExportedDetector(engine, model.config)
    found = compare_at(model, engine, SIZES)
    assert found.decisions == 1
    assert found.difference <= 1e-4
    objects = 0
    for size_hw in SIZES:
        images = torch.randn(2, 3, *size_hw, generator=torch.Generator().manual_seed(0))
        assert len(exported(images * 0)) == 2
        objects += sum(len(own) for own in exported(images))
    assert objects > 10


@pytest.fixture(scope="module")
def dynamic(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """ONNX files for any size, each made once."""
    folder = tmp_path_factory.mktemp("dynamic")

    @lru_cache
    def make(kind: str) -> Path:
        path = folder / f"{kind}.onnx"
        return swinkit.export(detector(kind), path, dynamic=True, verify=False).path

    return make


def test_one_file_for_any_size(dynamic: Callable[[str], Path], tmp_path: Path) -> None:
    path, model = dynamic("mask_rcnn"), detector("mask_rcnn")
    check(model, open_engine(str(path)))
    pytest.importorskip("openvino", reason="needs the extra openvino")
    write_openvino(to_openvino(onnx.load(path)), {}, tmp_path / "m.xml", fp16=False)
    check(model, open_engine(str(tmp_path / "m.xml")))


def test_torch_export_takes_any_size(tmp_path: Path) -> None:
    model, path = detector("cascade_mask_rcnn"), tmp_path / "m.pt2"
    swinkit.export(model, path, to="torch-export", dynamic=True, verify=False)
    check(model, Program(path))


@pytest.mark.parametrize("kind", ["retinanet", "mask_rcnn", "cascade_mask_rcnn", "htc"])
def test_batches_are_answered_as_single_images_are(kind: str) -> None:
    class Itself(Engine):
        name, origin, input_hw, metadata = "itself", "itself", (None, None), {}  # type: ignore

        def run(self, images: torch.Tensor, *more: torch.Tensor) -> tuple[torch.Tensor, ...]:
            with torch.no_grad():
                return detector(kind).detect_in_batch(images, *more)

    check(detector(kind), Itself())


def test_one_size_is_compared(tmp_path: Path) -> None:
    done = swinkit.export(detector("retinanet"), tmp_path / "m.onnx", image_size=(64, 96))
    assert done.verification.difference <= 1e-4
    assert done.verification.mean_decisions == 1
    assert swinkit.load(done.path).class_names == NAMES


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (70, 120, 3), dtype=np.uint8)


def test_loaded_like_weights(dynamic: Callable[[str], Path]) -> None:
    model, loaded = detector("mask_rcnn"), swinkit.load(dynamic("mask_rcnn"))
    images = [picture(), picture()[:50, ::-1]]
    for settings in ({}, {"batch_size": 2}, {"score_threshold": 0.34}):
        ours, theirs = loaded.predict(images, **settings), model.predict(images, **settings)
        assert sum(len(own) for own in theirs) > 0
        for own, expected in zip(ours, theirs, strict=True):
            assert np.array_equal(own.labels, expected.labels)
            assert np.allclose(own.boxes_xyxy, expected.boxes_xyxy, atol=1e-2)
            assert np.allclose(own.scores, expected.scores, atol=1e-4)
            both = own.masks.to_dense() == expected.masks.to_dense()
            assert both.mean() > 0.999
    # The eighth of a tile and the ninth may score the same.
    tiles = [len(one.predict(images[0], tile=60)[0]) for one in (loaded, model)]
    assert tiles[0] == pytest.approx(tiles[1], abs=2)
    few = loaded.predict(images, max_per_image=2)
    assert [len(own) for own in few] == [2, 2]


REFUSED = {
    "lower scores": ({"score_threshold": 0.1}, "above 0.3, not 0.1"),
    "other suppression": ({"suppression": Suppression(iou=0.3)}, "no other"),
    "more objects": ({"max_per_image": 9}, "8 objects of an image at most"),
    "views": ({"views": TestAugmentation(flip=True)}, "leave views"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_file_does_not_hold_is_one_line(name: str, dynamic: Callable[[str], Path]) -> None:
    settings, said = REFUSED[name]
    with pytest.raises(SwinkitError, match=said) as caught:
        swinkit.load(dynamic("mask_rcnn")).predict(picture(), **settings)
    assert "\n" not in str(caught.value)


def test_detectors_that_no_graph_holds(tmp_path: Path) -> None:
    with pytest.raises(SwinkitError, match="fp32 alone"):
        swinkit.export(detector("retinanet"), tmp_path / "m.onnx", precision="fp16")
    soft = replace(
        config("retinanet"), output=OutputConfig(suppression=Suppression(method="linear"))
    )
    with pytest.raises(SwinkitError, match="soft suppression"):
        swinkit.export(SwinDetector.from_config(soft), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "compiled", "auto"])
def test_every_engine_finds_the_same(
    engine: str, dynamic: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "openvino":
        pytest.importorskip(engine, reason="needs the extra openvino")
    monkeypatch.setattr(running, "kept_network", lambda _: dynamic("mask_rcnn"))
    monkeypatch.setattr(running, "OPENING", -1.0)
    monkeypatch.setattr(running, "EXPORTING", 0.0)
    model = copy.deepcopy(detector("mask_rcnn"))
    expected = model.predict([picture()] * 2)
    said: list[str] = []
    run_through(model, engine, said.append)  # type: ignore[arg-type]
    for found, own in zip(model.predict([picture()] * 2), expected, strict=True):
        assert len(own) > 0
        assert np.array_equal(found.labels, own.labels)
        assert np.allclose(found.scores, own.scores, atol=1e-4)
    assert [line for line in said if "after" not in line] == []
    assert len(said) == (engine == "auto")
