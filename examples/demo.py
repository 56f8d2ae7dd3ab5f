"""`make demo`: a small Swin learns handwritten digits; then it is measured, asked and drawn.

The digits come with scikit-learn; nothing is downloaded. Everything is written under runs/.
"""

import shutil
import sys
import time
from pathlib import Path

from swinkit import train
from swinkit.cli import main as swinkit
from swinkit.data.classification.digits import write_digits
from swinkit.training.config import load_recipe

ROOT = Path("runs")
RUN = ROOT / "demo"
SHOWN = 8  # test images that are predicted and drawn


def main() -> int:
    started = time.perf_counter()
    digits = write_digits(ROOT / "digits")
    shutil.rmtree(RUN, ignore_errors=True)
    print(f"$ swinkit train {digits} --recipe demo", flush=True)
    folder = train(load_recipe("demo", digits)).folder
    weights = str(folder / "best.safetensors")
    images = sorted((digits / "test").glob("*/*.png"))
    chosen = [str(path) for path in images[:: len(images) // SHOWN][:SHOWN]]
    commands = (
        ["evaluate", "--weights", weights, "--data", str(digits), "--out", str(folder / "test")],
        ["predict", *chosen, "--weights", weights, "--plot", str(folder / "predictions")],
    )
    for command in commands:
        print(f"$ swinkit {' '.join(command)}", flush=True)
        code = swinkit(command)
        if code:
            return code
    print("pictures:")
    for picture in sorted(folder.rglob("*.png")):
        print(f"  {picture}")
    print(f"done in {time.perf_counter() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
