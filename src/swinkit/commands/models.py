"""`swinkit models`: the architectures that have a name, and where their weights are."""

import json
import sys
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from swinkit.checkpoints.published import published_of
from swinkit.console import standard_output, table
from swinkit.registry import all_tasks
from swinkit.task.base import NetworkSummary, Task

SCORES = {
    "top-1": "top1",
    "top-5": "top5",
    "box AP": "box_ap",
    "mask AP": "mask_ap",
    "mIoU": "miou",
}

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
            listed = [_as_dict(task, row) for task in _tasks() for row in task.networks()]
            json.dump(listed, sys.stdout, indent=1)
            sys.stdout.write("\n")
            return
        _print_tables()


def _tasks() -> list[Task[Any, Any]]:
    """Classifiers first, as people look for them first."""
    return sorted(all_tasks(), key=lambda task: task.name)


def _as_dict(task: Task[Any, Any], row: NetworkSummary) -> dict[str, Any]:
    return {
        "task": task.name,
        **_known(asdict(row)),
        "weights": [
            _known({**asdict(entry), "crop_fraction": entry.crop_fraction})
            for entry in published_of(row.name)
        ],
    }


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _print_tables() -> None:
    console = standard_output()
    tasks = [task for task in _tasks() if task.networks()]
    for task in tasks:
        console.print(_networks_table(task))
    for task in tasks:
        console.print(_weights_table(task))
    console.print(NOTES)


def _networks_table(task: Task[Any, Any]) -> Table:
    networks = task.networks()
    sized = any(row.image_size for row in networks)
    header = ("name", *(("image",) if sized else ()), "window", "params", "FLOPs")
    rows = [
        (
            row.name,
            *((str(row.image_size),) if sized else ()),
            str(row.windows[0][0]),
            row.params,
            _flops(row),
        )
        for row in networks
    ]
    title = f"{task.model_kind.capitalize()}s: swinkit.{task.creator}(NAME)"
    return table(header, rows, numbers=range(1, len(header)), title=title)


def _flops(row: NetworkSummary) -> str:
    if row.flops:
        return row.flops
    if row.multiply_adds is None:
        return "-"
    billions = row.multiply_adds / 1e9
    return f"{billions:.1f}G" if billions < 100 and row.image_size else f"{billions:.0f}G"


def _weights_table(task: Task[Any, Any]) -> Table:
    entries = [entry for row in task.networks() for entry in published_of(row.name)]
    scores = {
        head: name
        for head, name in SCORES.items()
        if any(getattr(entry, name) is not None for entry in entries)
    }
    rows = [
        (
            entry.name,
            str(entry.num_classes),
            *(_percent(getattr(entry, name)) for name in scores.values()),
            entry.license,
            entry.url,
        )
        for entry in entries
    ]
    return table(
        ("name", "classes", *scores, "license", "source"),
        rows,
        numbers=range(1, 2 + len(scores)),
        title=f"Weights of {task.model_kind}s: swinkit.load(NAME), --weights NAME",
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
