"""`make demo`: a small Swin learns handwritten digits, another finds shapes; both are measured,
asked and drawn.

The digits come with scikit-learn, the shapes are drawn on the spot; nothing is downloaded.
Everything is written under runs/.
"""

import shutil
import sys
import time
from pathlib import Path

from demo_digits import write_digits
from demo_shapes import write_shapes
from swinkit import load_recipe, train
from swinkit.cli import main as swinkit

ROOT = Path("runs")
SHOWN = 8  # test images that are predicted and drawn


def main() -> int:
    started = time.perf_counter()
    digits = write_digits(ROOT / "digits")
    images = sorted((digits / "test").glob("*/*.png"))
    code = show("demo", digits, images)
    if code:
        return code
    shapes = write_shapes(
        ROOT / "shapes", train=400, val=40, test=40, size_hw=(96, 96), crowded=False
    )
    code = show("demo_shapes", shapes, sorted((shapes / "images").glob("test*.png")))
    if code:
        return code
    print("pictures:")
    for name in ("demo", "demo_shapes"):
        for picture in sorted((ROOT / name).rglob("*.png")):
            print(f"  {picture}")
    print(f"done in {time.perf_counter() - started:.0f} s")
    return 0


def show(recipe: str, data: Path, images: list[Path]) -> int:
    """Train by a recipe, measure the test images, and answer some of them with pictures."""
    shutil.rmtree(ROOT / recipe, ignore_errors=True)
    print(f"$ swinkit train {data} --recipe {recipe}", flush=True)
    folder = train(load_recipe(recipe, data)).folder
    weights = str(folder / "best.safetensors")
    chosen = [str(path) for path in images[:: max(1, len(images) // SHOWN)][:SHOWN]]
    commands = (
        ["evaluate", "--weights", weights, "--data", str(data), "--out", str(folder / "test")],
        ["predict", *chosen, "--weights", weights, "--plot", str(folder / "predictions")],
    )
    for command in commands:
        print(f"$ swinkit {' '.join(command)}", flush=True)
        code = swinkit(command)
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
