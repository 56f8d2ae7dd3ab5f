"""The table of published files agrees with what the packages themselves say."""

import subprocess
import sys

import pytest

from swinkit.checkpoints.weights import WEIGHTS, weights_of

URLS = {entry.url for entry in WEIGHTS.values()}


@pytest.mark.parametrize("version", ["", "_v2"])
@pytest.mark.parametrize("size", ["t", "s", "b"])
def test_torchvision(version: str, size: str) -> None:
    from torchvision.models import get_model_weights

    theirs = get_model_weights(f"swin{version}_{size}").DEFAULT  # type: ignore[attr-defined]
    ours = WEIGHTS[f"swin{version}_{size}.torchvision"]
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
    ours = {entry.hub_id.removeprefix("timm/"): entry for entry in WEIGHTS.values() if entry.hub_id}
    assert set(ours) == {name for name in theirs if ".ms_" in name}
    for name, entry in ours.items():
        config = theirs[name]
        assert config.url == entry.url
        assert config.num_classes == entry.num_classes
        assert config.input_size == (3, entry.image_size, entry.image_size)


def test_every_variant_exists_with_the_same_window() -> None:
    from swinkit.backbones.variants import VARIANTS

    for entry in WEIGHTS.values():
        variant = VARIANTS[entry.variant]
        assert variant.image_size == entry.image_size
        assert variant.config.window_size[0] == (entry.window_size,) * 2
    assert len(weights_of("swin_t")) == 4


def test_the_table_needs_no_torch() -> None:
    code = "import sys, swinkit.checkpoints.weights; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
