"""What people and files rely on stays as recorded: public names, weight names, results, help.

`SWINKIT_RECORD=1 python -m pytest tests/snapshots` writes the recordings anew; read the difference
before you commit it.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import swinkit
from swinkit.backbones.variants import VARIANTS
from swinkit.detection.variants import DETECTORS
from swinkit.segmentation.variants import SEGMENTERS

FOLDER = Path(__file__).parent
COMMANDS = (
    "inspect",
    "train",
    "pretrain",
    "evaluate",
    "predict",
    "convert",
    "models",
    "embed",
    "similar",
    "push",
    "explain",
    "explore",
)


def recorded(name: str, found: Any) -> Any:
    file = FOLDER / f"{name}.json"
    if os.environ.get("SWINKIT_RECORD"):
        file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return json.loads(file.read_text(encoding="utf-8"))


def test_public_names() -> None:
    found = sorted(swinkit.__all__)
    assert set(recorded("public_names", found)) <= set(found)


BUILDERS: dict[str, tuple[Callable[..., torch.nn.Module], Any]] = {
    "classifier": (swinkit.create_model, VARIANTS),
    "backbone": (swinkit.create_backbone, VARIANTS),
    "detector": (swinkit.create_detector, DETECTORS),
    "segmenter": (swinkit.create_segmenter, SEGMENTERS),
}


@pytest.mark.parametrize("kind", BUILDERS)
def test_names_and_shapes_of_weights(kind: str) -> None:
    build, names = BUILDERS[kind]
    found = {}
    for name in names:
        with torch.device("meta"):
            state = build(name).state_dict()
        lines = [f"{key} {tuple(value.shape)}" for key, value in sorted(state.items())]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        found[name] = {"tensors": len(lines), "first": lines[0], "sha256": digest}
    assert found == recorded(f"weights_{kind}", found)


def picture() -> np.ndarray:
    rows, columns = np.mgrid[:61, :83]
    return np.stack([rows * 4 % 256, columns * 3 % 256, (rows + columns) % 256], -1).astype("uint8")


@pytest.mark.parametrize("kind", ["classifier", "detector", "segmenter"])
def test_result_of_a_task(kind: str) -> None:
    names = {
        "classifier": "swin_nano",
        "detector": "mask_rcnn_swin_nano",
        "segmenter": "unet_swin_nano",
    }
    torch.manual_seed(3)
    settings = {"score_threshold": 0.02, "max_per_image": 5} if kind == "detector" else {}
    model = BUILDERS[kind][0](names[kind], num_classes=4).eval()
    found = model.predict(picture(), **settings)[0].to_dict()
    found.pop("seconds", None)
    assert near(found, recorded(f"result_{kind}", found))


def near(found: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        if found.keys() != expected.keys():
            return False
        # An untrained segmenter has ties: rounding may move a pixel. A class's share says as much.
        return all(
            near(found[k], expected[k]) for k in found if k != "pixels" or "share" not in found
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(near, found, expected))
    if isinstance(expected, float):
        return bool(found == pytest.approx(expected, rel=1e-3, abs=1e-3))
    return bool(found == expected)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "swinkit.cli", *([command] if command else []), "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"},
    )
    # Words alone: how wide a box is drawn is the library's affair.
    found = [" ".join(line.strip("│╭╮╰╯─ ").split()) for line in done.stdout.splitlines()]
    assert found == recorded(f"help_{command or 'swinkit'}", found)
