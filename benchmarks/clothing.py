"""The same architecture, recipe, order of images and epochs for swinkit's and timm's model.

    python benchmarks/clothing.py DATA [--epochs 12] [--seeds 3] [--side 64] [--threads 2]

DATA is a folder of class folders in train, validation and test. Both models start from the same
kind of random weights (each its own library's) and run in one loop; test accuracy of the last epoch
is printed for every seed, then mean and standard deviation.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import timm
import torch
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from swinkit.backbones.config import SwinConfig
from swinkit.classification.data.splits import ClassificationSample, load_classification
from swinkit.classification.model import SwinClassifier
from swinkit.data.config import DataConfig
from swinkit.images.preprocessing import Preprocessing
from swinkit.images.reading import read_image

SIZES = {"embed_dim": 48, "depths": (2, 2, 4, 2), "num_heads": (2, 4, 8, 16)}
BATCH, PEAK_LR, WEIGHT_DECAY, WARM_UP, SMOOTHING, DROP_PATH = 64, 1e-3, 0.05, 0.1, 0.1, 0.1


def build(library: str, side: int, classes: int) -> nn.Module:
    """The same small Swin V1 (patch 4, window 4) of either library."""
    if library == "timm":
        return SwinTransformer(
            img_size=side,
            window_size=4,
            num_classes=classes,
            drop_path_rate=DROP_PATH,
            **SIZES,
        )
    windows = tuple(min(4, side // 4 // 2**stage) for stage in range(4))
    config = SwinConfig(
        window_size=windows, small_map_rule="shrink_per_axis", drop_path_rate=DROP_PATH, **SIZES
    )
    return SwinClassifier(config, num_classes=classes)


def load_images(samples: list[ClassificationSample], side: int) -> tuple[Tensor, Tensor]:
    """All pictures, normalised, `N 3 side side`, and their labels."""
    prepare = Preprocessing(size_hw=(side, side), resize="squash")
    images = np.stack([prepare(read_image(sample.path)) for sample in samples])
    return torch.from_numpy(images), torch.tensor([sample.label for sample in samples])


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each picture flipped at random and shifted by up to an eighth of its side."""
    side = images.shape[-1]
    reach = side // 8
    padded = nn.functional.pad(images, (reach,) * 4, mode="reflect")
    offsets = torch.randint(0, 2 * reach + 1, (len(images), 2), generator=generator).tolist()
    flips = torch.rand(len(images), generator=generator) < 0.5
    cut = [
        image[:, top : top + side, left : left + side]
        for image, (top, left) in zip(padded, offsets, strict=True)
    ]
    return torch.stack([c.flip(-1) if f else c for c, f in zip(cut, flips, strict=True)])


def optimizer_for(model: nn.Module) -> torch.optim.AdamW:
    """AdamW without decay on vectors and bias tables."""
    plain = [p for n, p in model.named_parameters() if p.ndim < 2 or "bias" in n]
    decayed = [p for n, p in model.named_parameters() if p.ndim >= 2 and "bias" not in n]
    groups = [
        {"params": decayed, "weight_decay": WEIGHT_DECAY},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=PEAK_LR)


def run(
    model: nn.Module,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    epochs: int,
    seed: int,
) -> float:
    """Train and give test accuracy; the order of images and crops depends on `seed` alone."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = optimizer_for(model)
    steps = epochs * (len(train[1]) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_LR, total_steps=steps, pct_start=WARM_UP
    )
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(train[1]), generator=generator)
        for first in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[first : first + BATCH]
            logits = model(augment(train[0][chosen], generator))
            nn.functional.cross_entropy(
                logits, train[1][chosen], label_smoothing=SMOOTHING
            ).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    model.eval()
    with torch.inference_mode():
        right = (model(test[0]).argmax(1) == test[1]).float().mean()
    return right.item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    splits = load_classification(DataConfig(path=options.data))
    train = load_images(splits.train, options.side)
    test = load_images(splits.test or splits.val, options.side)
    print(
        f"{len(train[1])} training, {len(test[1])} test images; timm {timm.__version__}", flush=True
    )
    scores: dict[str, list[float]] = {"swinkit": [], "timm": []}
    for seed in range(options.seeds):
        for library, reached in scores.items():
            torch.manual_seed(seed)
            start = time.perf_counter()
            model = build(library, options.side, len(splits.class_names))
            reached.append(run(model, train, test, options.epochs, seed))
            seconds = time.perf_counter() - start
            print(f"seed {seed} {library:8s} {reached[-1]:.4f}  {seconds:.0f} s", flush=True)
    for library, reached in scores.items():
        spread = statistics.stdev(reached) if len(reached) > 1 else 0.0
        print(f"{library:8s} mean {statistics.mean(reached):.4f}  standard deviation {spread:.4f}")


if __name__ == "__main__":
    main()
