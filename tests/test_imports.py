"""The layers of the design hold, and light modules stay light."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIGHT = (
    "swinkit",
    "swinkit.cli",
    "swinkit.classification.result",
    "swinkit.backbones.variants",
    "swinkit.checkpoints.published",
    "swinkit.data.config",
    "swinkit.registry",
    "swinkit.detection.data.splits",
    "swinkit.detection.train_config",
    "swinkit.images.fitting",
    "swinkit.images.preprocessing",
    "swinkit.task.views",
    "swinkit.detection.result",
    "swinkit.segmentation.result",
    "swinkit.task.train_config",
)


def test_every_import_goes_one_way() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", LIGHT)
def test_needs_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names_exist() -> None:
    import swinkit

    for name in swinkit.__all__:
        assert getattr(swinkit, name) is not None
        assert name in dir(swinkit)
    with pytest.raises(AttributeError, match="No swinkit attribute swin_transformer"):
        _ = swinkit.swin_transformer
