"""The page of a trained model on the Hugging Face hub, made from its run."""

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from swinkit import __version__
from swinkit.checkpoints.published import PUBLISHED
from swinkit.registry import get_task
from swinkit.task.model import TaskModel
from swinkit.task.train_config import TrainConfig

MOST_CLASSES = 50  # that are named one by one
MOST_DIGITS = 4


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What a card tells of a run.

    Attributes:
        summary: metrics of the best weights, by name, and the numbers of epochs.
        counts: images of each split; empty where unknown.
        pictures: their places in the repository.
    """

    config: TrainConfig
    model: TaskModel[Any]
    summary: dict[str, float]
    counts: dict[str, int]
    pictures: Sequence[str]
    license: str | None = None

    @property
    def data(self) -> str:
        """Name of the data set; its place on a disk is nobody's affair."""
        return self.config.data.path.name

    @property
    def started_from(self) -> str:
        """The weights that training started from, without a place on a disk."""
        weights = self.config.model.weights
        if weights is None:
            return "random weights"
        return Path(weights).name if os.path.exists(weights) else weights


def model_card(facts: RunFacts, repository: str) -> str:
    """README.md of a repository: YAML for the hub, then text for people."""
    header = yaml.safe_dump(_header(facts, repository), sort_keys=False, allow_unicode=True)
    parts = [
        f"# {repository.rsplit('/', 1)[-1]}",
        _introduction(facts),
        "## Use",
        f'```python\nimport swinkit\n\nresults = swinkit.predict("photo.jpg", "{repository}")\n```',
        f"```bash\nswinkit predict photo.jpg --weights {repository} --plot drawn\n```",
        "## Data",
        _data(facts),
        "## Results",
        _results(facts),
        *(f"![{Path(place).stem}]({place})" for place in facts.pictures),
        "## Training",
        _training(facts),
        "## License",
        _license(facts),
    ]
    return f"---\n{header}---\n\n" + "\n\n".join(parts) + "\n"


def _header(facts: RunFacts, repository: str) -> dict[str, Any]:
    tag = get_task(facts.model.task).hub_tag
    metrics = [
        {"type": name.partition("_")[2], "name": name, "value": round(value, MOST_DIGITS)}
        for name, value in _metrics(facts)
    ]
    result = {
        "task": {"type": tag},
        "dataset": {"name": facts.data, "type": facts.data},
        "metrics": metrics,
    }
    start = PUBLISHED.get(facts.config.model.weights or "")
    return {
        **({"license": facts.license} if facts.license else {}),
        "library_name": "swinkit",
        "pipeline_tag": tag,
        "tags": ["swinkit", "swin-transformer", facts.model.task],
        **({"base_model": start.hub_id} if start and "//" not in (start.hub_id or "//") else {}),
        "model-index": [
            {"name": repository.rsplit("/", 1)[-1], "results": [result] if metrics else []}
        ],
    }


def _metrics(facts: RunFacts) -> list[tuple[str, float]]:
    """Scores of the held-out splits."""
    return [
        (name, value)
        for name, value in facts.summary.items()
        if name.startswith(("val_", "test_")) and value is not None and value == value
    ]


def _introduction(facts: RunFacts) -> str:
    kind = get_task(facts.model.task).model_kind
    parameters = sum(parameter.numel() for parameter in facts.model.parameters())
    return (
        f"A {kind} with a Swin Transformer backbone, {parameters / 1e6:.1f} M parameters, trained "
        f"with swinkit {__version__} from {facts.started_from}."
    )


def _data(facts: RunFacts) -> str:
    names = facts.model.class_names
    shown = ", ".join(f"`{name}`" for name in names[:MOST_CLASSES])
    more = f", and {len(names) - MOST_CLASSES} more" if len(names) > MOST_CLASSES else ""
    counts = ", ".join(f"{count} {split}" for split, count in facts.counts.items())
    classes = f"\n\n{len(names)} classes: {shown}{more}." if names else ""
    return f"`{facts.data}`" + (f": {counts} images" if counts else "") + f".{classes}"


def _results(facts: RunFacts) -> str:
    rows = [f"| {name} | {value:.4f} |" for name, value in _metrics(facts)]
    if not rows:
        return "Not measured."
    epochs = f"Best epoch {facts.summary['best_epoch']:.0f} of {facts.summary['epochs']:.0f}."
    return "\n".join(["| | |", "| --- | ---: |", *rows, "", epochs])


def _training(facts: RunFacts) -> str:
    config = facts.config
    schedule = config.schedule
    length = f"{schedule.epochs} epochs"
    if schedule.steps is not None:
        length = f"{schedule.steps} steps"
    elif schedule.minutes is not None:
        length = f"{schedule.minutes:g} minutes"
    return (
        f"{length}, {config.optimizer.kind} with a learning rate of {config.optimizer.lr:g}, "
        f"{config.runtime.batch_size} images per process and pass. All settings: `training.yaml`; "
        "an epoch per line: `results.csv`."
    )


def _license(facts: RunFacts) -> str:
    own = f"`{facts.license}`." if facts.license else "Not stated; ask whoever published this."
    start = PUBLISHED.get(facts.config.model.weights or "")
    if start is None:
        return own
    return f"{own} The starting weights `{start.name}` are {start.publisher}'s, {start.license}."


def read_summary(path: Path) -> dict[str, float]:
    """summary.json of a run that has come to its end; of another one the rows of its epochs."""
    if path.is_file():
        found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
        return found
    with path.with_name("results.csv").open(newline="", encoding="utf-8") as file:
        return {"epochs": len(list(csv.DictReader(file))), "best_epoch": float("nan")}
