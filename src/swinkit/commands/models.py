"""`swinkit models`: the architectures that have a name, and where their weights are."""

import json
import sys
from dataclasses import asdict, dataclass
from typing import Any

from swinkit.backbones.flops import count_flops
from swinkit.backbones.variants import VARIANTS, Variant
from swinkit.checkpoints.weights import PublishedWeights, weights_of

WIDE = 200  # columns where output is no terminal; addresses then stay on one line


@dataclass(frozen=True, kw_only=True)
class Models:
    """Print the published networks, their size and accuracy, and the source of each weight file."""

    json: bool = False
    """Print JSON, with the hub ids, instead of the tables."""

    def run(self) -> None:
        """Print."""
        if self.json:
            json.dump([_as_dict(variant) for variant in VARIANTS.values()], sys.stdout, indent=1)
            sys.stdout.write("\n")
            return
        _print_tables()


def _as_dict(variant: Variant) -> dict[str, Any]:
    side = variant.image_size
    return {
        "name": variant.name,
        "image_size": side,
        "windows": [list(window) for window in variant.config.windows],
        "params": variant.params,
        "flops": variant.flops,
        "multiply_adds": count_flops(variant.config, (side, side)),
        "drop_path_rate": variant.drop_path_rate,
        "weights": [_weights_dict(entry) for entry in weights_of(variant.name)],
    }


def _weights_dict(entry: PublishedWeights) -> dict[str, Any]:
    return {**asdict(entry), "crop_fraction": entry.crop_fraction}


def _print_tables() -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    models = Table(title="Networks: swinkit.create_model(NAME)", header_style="bold")
    for head in ("name", "image", "window", "params", "FLOPs"):
        models.add_column(head, justify="left" if head == "name" else "right")
    for variant in VARIANTS.values():
        window = variant.config.windows[0][0]
        side = variant.image_size
        flops = variant.flops or f"{count_flops(variant.config, (side, side)) / 1e9:.1f}G"
        models.add_row(variant.name, str(side), str(window), variant.params or "-", flops)
    weights = Table(title="Weights: swinkit.load(NAME), --weights NAME", header_style="bold")
    weights.add_column("name", no_wrap=True)
    for head in ("classes", "image", "top-1", "top-5"):
        weights.add_column(head, justify="right")
    weights.add_column("licence")
    weights.add_column("source", overflow="fold")
    for variant in VARIANTS.values():
        for entry in weights_of(variant.name):
            weights.add_row(
                entry.name,
                str(entry.num_classes),
                str(entry.image_size),
                _percent(entry.top1),
                _percent(entry.top5),
                entry.licence,
                entry.url,
            )
    console.print(models)
    console.print(weights)
    console.print(
        "FLOPs: multiply-adds by the official rule. Accuracy: per cent on ImageNet-1K validation, "
        "as published; 22K classifiers (21841 classes) have none there."
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
