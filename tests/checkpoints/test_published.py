"""The table of published files: sound, and in agreement with what the packages themselves say."""

import re
import subprocess
import sys

import pytest
import torch

from swinkit.checkpoints.load import load
from swinkit.checkpoints.published import PUBLISHED, published_of
from swinkit.checkpoints.sources.base import WeightFile
from swinkit.detection.model import SwinDetector
from swinkit.detection.variants import DETECTORS
from swinkit.detection.variants import PARAMETERS as DETECTOR_PARAMETERS
from swinkit.registry import task_weights
from swinkit.segmentation.model import SwinSegmenter
from swinkit.segmentation.variants import PARAMETERS as SEGMENTER_PARAMETERS
from swinkit.segmentation.variants import SEGMENTERS

CLASSIFIERS = {name: entry for name, entry in PUBLISHED.items() if entry.task == "classification"}
DENSE = {name: entry for name, entry in PUBLISHED.items() if name not in CLASSIFIERS}


@pytest.mark.parametrize("version", ["", "_v2"])
@pytest.mark.parametrize("size", ["t", "s", "b"])
def test_torchvision(version: str, size: str) -> None:
    from torchvision.models import get_model_weights

    theirs = get_model_weights(f"swin{version}_{size}").DEFAULT  # type: ignore[attr-defined]
    ours = CLASSIFIERS[f"swin{version}_{size}.torchvision"]
    accuracy = theirs.meta["_metrics"]["ImageNet-1K"]
    assert ours.url == theirs.url
    assert (ours.top1, ours.top5) == (accuracy["acc@1"], accuracy["acc@5"])
    transform = theirs.transforms()
    assert transform.crop_size == [ours.image_size]
    assert int(ours.image_size / ours.crop_fraction) == transform.resize_size[0]


def test_timm_names_and_addresses() -> None:
    import timm

    names = timm.list_models("swin_*", pretrained=True) + timm.list_models(
        "swinv2_*", pretrained=True
    )
    theirs = {
        name: timm.get_pretrained_cfg(name)
        for name in names
        if "_s3_" not in name and "_cr_" not in name
    }
    ours = {
        entry.hub_id.removeprefix("timm/"): entry for entry in CLASSIFIERS.values() if entry.hub_id
    }
    assert set(ours) == {name for name in theirs if ".ms_" in name}
    for name, entry in ours.items():
        config = theirs[name]
        assert config.url == entry.url
        assert config.num_classes == entry.num_classes
        assert config.input_size == (3, entry.image_size, entry.image_size)


def test_every_variant_exists_with_the_same_window() -> None:
    from swinkit.backbones.variants import VARIANTS

    for entry in CLASSIFIERS.values():
        variant = VARIANTS[entry.variant]
        assert variant.image_size == entry.image_size
        assert variant.config.window_size[0] == (entry.window_size,) * 2
    assert len(published_of("swin_t")) == 4


def test_every_entry_names_a_model_and_a_file() -> None:
    assert len(CLASSIFIERS) == 35
    for entry in DENSE.values():
        models = DETECTORS if entry.task == "detection" else SEGMENTERS
        assert models[entry.variant].num_classes == entry.num_classes
        window = int(re.search(r"window(\d+)|-w(\d+)_", entry.url)[1] or 7)  # type: ignore[index]
        assert models[entry.variant].backbone.windows[0][0] == window
        assert entry.metrics
        if entry.publisher == "OpenMMLab":
            assert re.search(r"-[0-9a-f]{8}\.pth$", entry.url)
    assert len({entry.url for entry in DENSE.values()}) == len(DENSE)
    assert len(published_of("mask_rcnn_swin_t")) == 6


def test_a_published_name_gives_names_metrics_and_provenance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dense_peers import detector

    entry = DENSE["mask_rcnn_swin_t.coco_3x"]
    state = detector("mask_rcnn", num_classes=80).state_dict()
    opened = WeightFile(tensors=state, origin=entry.name, published=entry)
    monkeypatch.setattr("swinkit.checkpoints.load.open_weights", lambda *_, **__: opened)
    model = load(entry.name, report=None)
    assert isinstance(model, SwinDetector)
    assert model.info.metrics == {"coco_box_ap": 46.0, "coco_mask_ap": 41.6}
    assert model.info.provenance["url"] == entry.url
    assert model.class_names[0] == "person"


@pytest.mark.parametrize(("task", "count"), [("detection", 80), ("segmentation", 150)])
def test_label_lists(task: str, count: int) -> None:
    names = task_weights(task).class_names(count, published=False)
    assert names is not None
    assert len(set(names)) == len(names) == count
    assert all(name == name.strip() for name in names)


def test_coco_as_torchvision_has_it() -> None:
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

    theirs = MaskRCNN_ResNet50_FPN_Weights.DEFAULT.meta["categories"]
    expected = [name for name in theirs if name not in ("__background__", "N/A")]
    assert list(task_weights("detection").class_names(80, published=False) or ()) == expected


def test_stated_parameters_are_counted_ones() -> None:
    stated = DETECTOR_PARAMETERS | SEGMENTER_PARAMETERS
    assert list(stated) == [*DETECTORS, *SEGMENTERS]
    with torch.device("meta"):
        for name in stated:
            if name in DETECTORS:
                model: torch.nn.Module = SwinDetector.from_config(DETECTORS[name])
            else:
                model = SwinSegmenter(SEGMENTERS[name])
            assert sum(value.numel() for value in model.parameters()) == stated[name], name


def test_the_table_needs_no_torch() -> None:
    code = (
        "import sys, swinkit.commands.models, swinkit.checkpoints.published; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_row_is_complete() -> None:
    assert len({entry.url for entry in PUBLISHED.values()}) == len(PUBLISHED)
    for name, entry in PUBLISHED.items():
        assert name == entry.name == f"{entry.variant}.{name.split('.', 1)[1]}"
        assert entry.license in ("MIT", "BSD-3-Clause", "Apache-2.0")
        assert re.fullmatch(r"https://[\w./-]+\.pth", entry.url)
        assert all(0 < score < 100 for score in entry.metrics.values())
    for entry in CLASSIFIERS.values():
        assert (entry.top1 is None) == (entry.num_classes == 21841)
        assert entry.image_size
        assert entry.window_size
