"""`swinkit models`: the architectures that have a name, and where their weights are."""

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from swinkit.backbones.flops import count_flops
from swinkit.backbones.variants import VARIANTS, Variant
from swinkit.checkpoints.published import PUBLISHED, PublishedWeights, published_of
from swinkit.commands.parameter_counts import PARAMETERS
from swinkit.detection.flops import count_detector_flops
from swinkit.detection.variants import DETECTORS
from swinkit.segmentation.flops import count_segmenter_flops
from swinkit.segmentation.variants import SEGMENTERS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDE = 200  # columns where output is no terminal; addresses then stay on one line
DETECTOR_HW, SEGMENTER_HW = (800, 1280), (512, 2048)  # the papers count at these sizes

NOTES = (
    "FLOPs: multiply-adds by the publishers' rules; detectors at 1280x800 with 1000 proposals, "
    "segmenters at 2048x512. Accuracy: per cent on ImageNet-1K validation, as published; 22K "
    "classifiers (21841 classes) have none there. AP on COCO val2017, mIoU on ADE20K's validation "
    "images, as published."
)


@dataclass(frozen=True, kw_only=True)
class Models:
    """Print the named networks, their size and accuracy, and the source of each weight file."""

    json: bool = False
    """Print JSON, with the hub ids, instead of the tables."""

    def run(self) -> None:
        """Print."""
        if self.json:
            listed = [_as_dict(variant) for variant in VARIANTS.values()]
            listed += [_dense_dict(name) for name in (*DETECTORS, *SEGMENTERS)]
            json.dump(listed, sys.stdout, indent=1)
            sys.stdout.write("\n")
            return
        _print_tables()


def _as_dict(variant: Variant) -> dict[str, Any]:
    side = variant.image_size
    return {
        "name": variant.name,
        "task": "classification",
        "image_size": side,
        "windows": [list(window) for window in variant.config.windows],
        "params": variant.params,
        "flops": variant.flops,
        "multiply_adds": count_flops(variant.config, (side, side)),
        "drop_path_rate": variant.drop_path_rate,
        "weights": [_weights_dict(entry) for entry in published_of(variant.name)],
    }


def _dense_dict(name: str) -> dict[str, Any]:
    config = DETECTORS.get(name) or SEGMENTERS[name]
    return {
        "name": name,
        "task": "detection" if name in DETECTORS else "segmentation",
        "windows": [list(window) for window in config.backbone.windows],
        "num_classes": config.num_classes,
        "params": _millions(PARAMETERS[name]),
        "multiply_adds": _multiply_adds(name),
        "drop_path_rate": config.backbone.drop_path_rate,
        "weights": [asdict(entry) for entry in published_of(name)],
    }


def _multiply_adds(name: str) -> int | None:
    """None for decoders whose work nobody's rule counts."""
    if name in DETECTORS:
        return count_detector_flops(DETECTORS[name], DETECTOR_HW)
    config = SEGMENTERS[name]
    return count_segmenter_flops(config, SEGMENTER_HW) if config.decoder == "upernet" else None


def _weights_dict(entry: PublishedWeights) -> dict[str, Any]:
    return {**asdict(entry), "crop_fraction": entry.crop_fraction}


def _print_tables() -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    _print_networks(console)
    _print_classifier_weights(console)
    _print_dense_weights(console)
    console.print(NOTES)


def _table(title: str, left: tuple[str, ...], right: tuple[str, ...]) -> "Table":
    from rich.table import Table

    table = Table(title=title, header_style="bold")
    for head in left:
        table.add_column(head, no_wrap=True)
    for head in right:
        table.add_column(head, justify="right")
    return table


def _print_networks(console: "Console") -> None:
    table = _table(
        "Networks: swinkit.create_model(NAME)", ("name",), ("image", "window", "params", "FLOPs")
    )
    for variant in VARIANTS.values():
        side = variant.image_size
        window = variant.config.windows[0][0]
        flops = variant.flops or f"{count_flops(variant.config, (side, side)) / 1e9:.1f}G"
        table.add_row(variant.name, str(side), str(window), variant.params, flops)
    console.print(table)
    for title, names in (
        ("Detectors: swinkit.create_detector(NAME)", tuple(DETECTORS)),
        ("Segmenters: swinkit.create_segmenter(NAME)", tuple(SEGMENTERS)),
    ):
        table = _table(title, ("name",), ("window", "params", "FLOPs"))
        for name in names:
            config = DETECTORS.get(name) or SEGMENTERS[name]
            adds = _multiply_adds(name)
            flops = "-" if adds is None else f"{adds / 1e9:.0f}G"
            window = config.backbone.windows[0][0]
            table.add_row(name, str(window), _millions(PARAMETERS[name]), flops)
        console.print(table)


def _print_classifier_weights(console: "Console") -> None:
    title = "Weights: swinkit.load(NAME), --weights NAME"
    table = _table(title, ("name",), ("classes", "image", "top-1", "top-5"))
    table.add_column("license")
    table.add_column("source", overflow="fold")
    for variant in VARIANTS.values():
        for entry in published_of(variant.name):
            table.add_row(
                entry.name,
                str(entry.num_classes),
                str(entry.image_size),
                _percent(entry.top1),
                _percent(entry.top5),
                entry.license,
                entry.url,
            )
    console.print(table)


def _print_dense_weights(console: "Console") -> None:
    title = "Weights of detectors and segmenters: swinkit.load(NAME), --weights NAME"
    table = _table(title, ("name",), ("box AP", "mask AP", "mIoU"))
    table.add_column("license")
    table.add_column("source", overflow="fold")
    for entry in PUBLISHED.values():
        if entry.variant in VARIANTS:
            continue
        table.add_row(entry.name, *_scores(entry), entry.license, entry.url)
    console.print(table)


def _scores(entry: PublishedWeights) -> tuple[str, str, str]:
    return _percent(entry.box_ap), _percent(entry.mask_ap), _percent(entry.miou)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f}M" if count < 10e6 else f"{count / 1e6:.0f}M"
