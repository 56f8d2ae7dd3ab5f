"""Names that other packages give the sizes of Swin."""

import pytest

from swinkit.backbones.names import best_weights, find_foreign, get_variant
from swinkit.backbones.swin import create_backbone
from swinkit.backbones.variants import VARIANTS
from swinkit.checkpoints.opening import open_weights
from swinkit.checkpoints.published import PUBLISHED
from swinkit.classification.model import create_model
from swinkit.errors import CheckpointError, ConfigError


def test_every_published_name_of_the_hub_is_known():
    for entry in PUBLISHED.values():
        for name in (entry.hub_id, entry.transformers_id):
            if entry.task == "classification" and name is not None:
                assert find_foreign(name) is VARIANTS[entry.variant], name


def test_the_weights_that_are_advised_are_published():
    for variant in VARIANTS.values():
        weights = best_weights(variant)
        own = variant.name in ("swin_nano", "swin_nano_32", "swin_nano_64")
        assert weights is None if own else weights in PUBLISHED


@pytest.mark.parametrize("name", ["swin", "swin_x", "swin_tiny_window99", "resnet50", ""])
def test_other_names_are_none_of_swin(name):
    assert find_foreign(name) is None
    with pytest.raises(ConfigError, match="choose one of swin_t, "):
        get_variant(name)


@pytest.mark.parametrize("create", [create_model, create_backbone])
def test_habits_from_other_packages_get_a_word_of_what_to_use(create):
    with pytest.raises(ConfigError, match=r'swinkit\.load\("swin_t\.in1k"\)'):
        create("swin_t", pretrained=True)
    with pytest.raises(
        ConfigError, match=r"here it is 'swin_t'.*swinkit\.load\(\"swin_t\.in1k\"\)"
    ):
        create("swin_tiny_patch4_window7_224")
    with pytest.raises(ConfigError, match="no trained weights are published"):
        create("swin_nano", pretrained=True)


def test_loading_the_name_of_a_network_lists_its_weights():
    for name in ("swin_t", "swin_tiny_patch4_window7_224.ms_in1k"):
        with pytest.raises(CheckpointError, match=r"its published weights are swin_t\.in1k, "):
            open_weights(name)
