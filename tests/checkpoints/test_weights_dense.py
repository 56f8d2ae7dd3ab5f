"""The table of published detectors and segmenters."""

import re
import subprocess
import sys

import pytest
import torch

from swinkit.checkpoints.load import load
from swinkit.checkpoints.opening import WeightFile
from swinkit.checkpoints.provenance import label_list
from swinkit.checkpoints.weights import WEIGHTS
from swinkit.checkpoints.weights_dense import DENSE_WEIGHTS, dense_weights_of
from swinkit.commands.parameter_counts import PARAMETERS
from swinkit.detection.model import SwinDetector
from swinkit.detection.variants import DETECTORS
from swinkit.segmentation.model import SwinSegmenter
from swinkit.segmentation.variants import SEGMENTERS


def test_every_entry_names_a_model_and_a_file() -> None:
    assert not set(DENSE_WEIGHTS) & set(WEIGHTS)
    for entry in DENSE_WEIGHTS.values():
        models = DETECTORS if entry.task == "detection" else SEGMENTERS
        assert models[entry.variant].num_classes == entry.num_classes
        window = int(re.search(r"window(\d+)|-w(\d+)_", entry.url)[1] or 7)  # type: ignore[index]
        assert models[entry.variant].backbone.windows[0][0] == window
        assert re.fullmatch(r"https://[\w./-]+\.pth", entry.url)
        assert entry.metrics
        if entry.publisher == "OpenMMLab":
            assert re.search(r"-[0-9a-f]{8}\.pth$", entry.url)
    assert len({entry.url for entry in DENSE_WEIGHTS.values()}) == len(DENSE_WEIGHTS)
    assert len(dense_weights_of("mask_rcnn_swin_t")) == 6


def test_a_published_name_gives_names_metrics_and_provenance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dense_peers import detector

    entry = DENSE_WEIGHTS["mask_rcnn_swin_t.coco_3x"]
    state = detector("mask_rcnn", num_classes=80).state_dict()
    opened = WeightFile(tensors=state, origin=entry.name, published=entry)
    monkeypatch.setattr("swinkit.checkpoints.load.open_source", lambda *_, **__: opened)
    model = load(entry.name, report=None)
    assert isinstance(model, SwinDetector)
    assert model.info.metrics == {"coco_box_ap": 46.0, "coco_mask_ap": 41.6}
    assert model.info.provenance["url"] == entry.url
    assert model.class_names[0] == "person"


@pytest.mark.parametrize(("file", "count"), [("coco_80.txt", 80), ("ade20k_150.txt", 150)])
def test_label_lists(file: str, count: int) -> None:
    names = label_list(file)
    assert len(set(names)) == len(names) == count
    assert all(name == name.strip() for name in names)


def test_coco_as_torchvision_has_it() -> None:
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

    theirs = MaskRCNN_ResNet50_FPN_Weights.DEFAULT.meta["categories"]
    expected = [name for name in theirs if name not in ("__background__", "N/A")]
    assert list(label_list("coco_80.txt")) == expected


def test_stated_parameters_are_counted_ones() -> None:
    assert list(PARAMETERS) == [*DETECTORS, *SEGMENTERS]
    with torch.device("meta"):
        for name in PARAMETERS:
            if name in DETECTORS:
                model: torch.nn.Module = SwinDetector(DETECTORS[name])
            else:
                model = SwinSegmenter(SEGMENTERS[name])
            assert sum(value.numel() for value in model.parameters()) == PARAMETERS[name], name


def test_the_tables_need_no_torch() -> None:
    code = (
        "import sys, swinkit.commands.models, swinkit.checkpoints.weights_dense; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
