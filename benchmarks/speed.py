"""Swin-T side by side with timm, torchvision and transformers, in one run, on this machine.

    python benchmarks/speed.py [--batch 1 16] [--rounds 7] [--train] [--threads 2]

Models take turns within each round, so that a machine whose speed drifts treats them alike. Prints
milliseconds per image (median over rounds), the ratio to the fastest peer, and peak memory of a
fresh process per model.
"""

import argparse
import gc
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import timm
import torch
import torchvision
import transformers
from torch import Tensor, nn

import swinkit

Step = Callable[[], object]


class _Logits(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        return self.model(image).logits


MODELS: dict[str, Callable[[], nn.Module]] = {
    "swinkit": lambda: swinkit.create_model("swin_t"),
    "swinkit sdpa": lambda: swinkit.create_model("swin_t", attention="sdpa"),
    "swinkit reference": lambda: swinkit.create_model("swin_t", attention="reference"),
    "timm": lambda: timm.create_model("swin_tiny_patch4_window7_224", drop_path_rate=0.2),
    "torchvision": torchvision.models.swin_t,
    "transformers": lambda: _Logits(
        transformers.SwinForImageClassification(
            transformers.SwinConfig(num_labels=1000, drop_path_rate=0.2)
        )
    ),
}


def make_step(model: nn.Module, image: Tensor, train: bool) -> Step:
    """One inference, or one forward, backward and AdamW step."""
    if not train:
        model.eval()

        def infer() -> Tensor:
            with torch.inference_mode():
                return model(image)

        return infer
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    target = torch.randint(1000, (image.shape[0],))

    def learn() -> None:
        nn.functional.cross_entropy(model(image), target).backward()
        optimizer.step()
        optimizer.zero_grad()

    return learn


def time_models(batch: int, rounds: int, train: bool) -> dict[str, list[float]]:
    """Milliseconds per image of every model in every round, after one warm-up round."""
    image = torch.randn(batch, 3, 224, 224)
    steps = {name: make_step(build(), image, train) for name, build in MODELS.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            gc.collect()
            start = time.perf_counter()
            step()
            if turn:
                times[name].append((time.perf_counter() - start) * 1e3 / batch)
    return times


def _measure_memory(name: str, batch: int, train: bool, threads: int, answer: object) -> None:
    torch.set_num_threads(threads)
    step = make_step(MODELS[name](), torch.randn(batch, 3, 224, 224), train)
    for _ in range(2):
        step()
    # The kernel's high-water mark of this process alone; ru_maxrss would start at the parent's.
    status = Path("/proc/self/status").read_text()
    answer.put(int(status.split("VmHWM:")[1].split()[0]) / 1024)  # type: ignore[attr-defined]


def peak_memory(name: str, batch: int, train: bool, threads: int) -> float:
    """MiB of a fresh process that builds the model and runs it twice."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=_measure_memory, args=(name, batch, train, threads, answer))
    process.start()
    peak = answer.get()
    process.join()
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--no-memory", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"{platform.processor() or platform.machine()}, {options.threads} threads, "
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, "
        f"timm {timm.__version__}, transformers {transformers.__version__}, float32, 224x224"
    )
    for batch in options.batch:
        times = time_models(batch, options.rounds, options.train)
        median = {name: statistics.median(values) for name, values in times.items()}
        best_peer = min(value for name, value in median.items() if not name.startswith("swinkit"))
        print(f"\n{'training step' if options.train else 'inference'}, batch {batch}")
        for name, value in median.items():
            memory = (
                ""
                if options.no_memory
                else f"   peak {peak_memory(name, batch, options.train, options.threads):7.0f} MiB"
            )
            print(
                f"  {name:18s} {value:8.1f} ms/image (min {min(times[name]):.1f})"
                f"   {best_peer / value:5.2f}x of the fastest peer{memory}"
            )


if __name__ == "__main__":
    main()
