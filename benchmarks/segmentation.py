"""UPerNet with Swin-T beside transformers' UPerNet-Swin.

    python benchmarks/segmentation.py [--rounds 7] [--side 512] [--batch 1] [--threads 2]

Both take the same tensor and give logits at its size, in turns within each round.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable

import torch
import transformers
from torch import Tensor, nn

from swinkit.segmentation.model import create_segmenter

NUM_CLASSES = 150


def transformers_upernet() -> nn.Module:
    """Swin-T and UPerNet with 512 channels, as published."""
    backbone = transformers.SwinConfig(out_features=["stage1", "stage2", "stage3", "stage4"])
    config = transformers.UperNetConfig(
        backbone_config=backbone,
        num_labels=NUM_CLASSES,
        hidden_size=512,
        auxiliary_in_channels=384,
    )
    return transformers.UperNetForSemanticSegmentation(config)


def make_runs() -> dict[str, Callable[[Tensor], object]]:
    """One inference of each model."""
    own = create_segmenter("upernet_swin_t", num_classes=NUM_CLASSES).eval()
    peer = transformers_upernet().eval()
    return {"swinkit": own, "transformers": lambda image: peer(image).logits}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    image = torch.randn(options.batch, 3, options.side, options.side)
    runs = make_runs()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(options.rounds + 1):
        for name, run in runs.items():
            gc.collect()
            start = time.perf_counter()
            with torch.inference_mode():
                run(image)
            if turn:
                times[name].append((time.perf_counter() - start) * 1e3 / options.batch)
    print(
        f"UPerNet, Swin-T, {options.side}x{options.side}, batch {options.batch}, float32, "
        f"{options.threads} threads, torch {torch.__version__}, "
        f"transformers {transformers.__version__}"
    )
    median = {name: statistics.median(values) for name, values in times.items()}
    for name, value in median.items():
        print(
            f"  {name:14s} {value:7.0f} ms/image (min {min(times[name]):.0f})"
            f"   swinkit is {value / median['swinkit']:.2f}x as fast"
        )


if __name__ == "__main__":
    main()
