"""`load` imports what a model needs to compute, and no more; its signature is exact."""

import inspect
import subprocess
import sys
from pathlib import Path

from swinkit.checkpoints.convert import convert
from swinkit.checkpoints.load import load
from swinkit.checkpoints.save import save
from swinkit.classification.model import create_model

MOST = 70  # files of swinkit
LOAD = """
import sys, swinkit, torch
swinkit.load({path!r}, report=None)(torch.rand(1, 3, 64, 64))
print(*sys.modules)
"""


def test_loading_a_classifier_is_light(tmp_path: Path) -> None:
    path = save(create_model("swin_nano", num_classes=3), tmp_path / "model.safetensors")
    done = subprocess.run(
        [sys.executable, "-c", LOAD.format(path=str(path))],
        capture_output=True,
        text=True,
        check=True,
    )
    modules = done.stdout.split()
    own = [name for name in modules if name.split(".")[0] == "swinkit"]
    assert len(own) <= MOST, sorted(own)
    for heavy in ("swinkit.pictures", "swinkit.training", "swinkit.data", "swinkit.detection"):
        # The settings of a data set are plain values; reading one is not loaded.
        found = {name for name in own if name.startswith(heavy)}
        assert found <= {"swinkit.data", "swinkit.data.config"}, found
    heavy_libraries = {"matplotlib", "lightning", "torchmetrics", "torchvision"}
    # The last two come with the compiler, seconds for a user who does not compile.
    assert not (heavy_libraries | {"sympy", "torch._dynamo"}) & set(modules)


def test_signatures_name_their_types() -> None:
    for function in (load, convert, save):
        assert "Any" not in str(inspect.signature(function))
