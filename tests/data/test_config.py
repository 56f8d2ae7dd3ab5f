"""Settings: what they refuse, and that help can be printed without PyTorch."""

import dataclasses
import subprocess
import sys

import pytest

from swinkit.classification.train_config import AugmentationConfig
from swinkit.data.config import DataConfig
from swinkit.errors import ConfigError


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "zip"},
        {"on_bad_image": "ignore"},
        {"scan": "sometimes"},
        {"val_fraction": 0.0},
        {"val_fraction": 1.0},
        {"test_fraction": -0.1},
        {"val_fraction": 0.6, "test_fraction": 0.5},
        {"workers": -1},
        {"channels": 0},
    ],
)
def test_data_settings_that_cannot_work(changes: dict) -> None:
    with pytest.raises(ConfigError):
        DataConfig(path="x", **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"crop_scale": (0.0, 1.0)},
        {"crop_scale": (0.9, 0.5)},
        {"crop_ratio": (1.0,)},
        {"interpolation": "magic"},
        {"horizontal_flip": 1.1},
        {"rand_augment_ops": -1},
        {"rand_augment_magnitude": 11.0},
        {"mixup_alpha": -1.0},
        {"label_smoothing": 1.0},
    ],
)
def test_augmentation_settings_that_cannot_work(changes: dict) -> None:
    with pytest.raises(ConfigError):
        AugmentationConfig(**changes)


@pytest.mark.parametrize("config", [DataConfig, AugmentationConfig])
def test_every_setting_has_a_line_of_help(config: type) -> None:
    pages = "".join(kind.__doc__ or "" for kind in config.__mro__)  # of those it derives from too
    for field in dataclasses.fields(config):
        assert f"\n        {field.name}: " in pages


def test_configuration_and_splits_do_not_import_torch() -> None:
    code = (
        "import sys, swinkit.data.config, swinkit.classification.data.splits; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
