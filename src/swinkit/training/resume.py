"""Going on with a run: which settings may change, and what must be as it was."""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from swinkit.checkpoints.save import HEADER, header_of, read_header
from swinkit.data.splits import Splits
from swinkit.errors import ConfigError, DataError, SwinkitError, TrainingError
from swinkit.registry import task_weights
from swinkit.settings import expand_user, flat
from swinkit.task.model import TaskModel
from swinkit.task.train_config import TrainConfig
from swinkit.training.optimizer import freeze
from swinkit.training.processes import Processes
from swinkit.training.recipes import recorded_config
from swinkit.training.run_folder import RunFolder, StateFile

logger = logging.getLogger(__name__)

# What a network learns does not depend on these.
FREE = (
    "data.path",
    "data.workers",
    "runtime.device",
    "runtime.threads",
    "runtime.preview",
    "runtime.logger",
    "schedule.early_stop",
)
LENGTHS = ("schedule.epochs", "schedule.steps", "schedule.minutes")
PLACES = ("runtime.out", "runtime.resume")

COUNTED = ("runtime.batch_size", "runtime.accumulate")  # as images per step, with the processes

Run = dict[str, Any]  # what a state says of its run, as plain values


def changed_settings(old: TrainConfig, new: TrainConfig) -> dict[str, Any]:
    """The settings by which two configurations differ, by name, as the new one has them."""
    before, after = flat(old.to_dict()), flat(new.to_dict())
    return {name: value for name, value in after.items() if value != before.get(name)}


def resumed_config(folder: RunFolder, changes: Mapping[str, Any]) -> TrainConfig:
    """The settings of a run as recorded, with those changes that its numbers allow.

    Args:
        folder: of the run.
        changes: new values by name, such as {"schedule.epochs": 100}.

    Raises:
        TrainingError: no run there.
        ConfigError: a change of what the run has learned by; it names the recorded value.
    """
    recorded = recorded_config(folder.path)
    own_path = folder.path.resolve()
    config = recorded.changed(
        {
            name: value
            for name, value in changes.items()
            if name not in PLACES or expand_user(Path(value)).resolve() != own_path
        }
    )
    config = replace(config, data=replace(config.data, path=config.data.path.resolve()))
    before, after = flat(recorded.to_dict()), flat(config.to_dict())
    refused = _refused(before, after)
    if refused:
        name = refused[0]
        if name in LENGTHS and name != (own := _deciding_length(before)):
            raise ConfigError(
                f"--{name} does not fit the run in {folder.path}, whose length is "
                f"--{own} {before.get(own)}; make that larger to go on"
            )
        longer = "; a run can be made longer, not shorter" if name in LENGTHS else ""
        others = f" (likewise {', '.join(refused[1:])})" if refused[1:] else ""
        raise ConfigError(
            f"--{name} is {after.get(name)}, but the run in {folder.path} was started with "
            f"{before.get(name)}{longer}{others}; leave it out to go on, or start a new run"
        )
    return config


def _refused(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Names of the settings whose change would make another run of it."""
    changed = [
        name
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name) and name not in FREE and name != "runtime.resume"
    ]
    return [name for name in changed if name not in LENGTHS or not _longer(name, before, after)]


def _longer(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a length that decides has grown."""
    old, new = before.get(name), after.get(name)
    return name == _deciding_length(after) and old is not None and new is not None and new > old


def _deciding_length(settings: Mapping[str, Any]) -> str:
    """The name of the length that a run ends by: steps or minutes where one is named."""
    return next((name for name in LENGTHS[1:] if settings.get(name) is not None), LENGTHS[0])


def settle_config(
    config: TrainConfig, changes: Mapping[str, Any], processes: Processes, held: ExitStack
) -> TrainConfig:
    """A resumed run's own settings, its folder locked; a new run's with an absolute data path."""
    if config.runtime.resume is None:
        path = config.data.path.resolve()
        return replace(config, data=replace(config.data, path=path))
    folder = RunFolder.open(config.runtime.resume)
    kept = resumed_config(folder, changes)
    if not os.path.exists(kept.data.path):
        raise DataError(
            f"{kept.data.path}: no such file or folder; say where the data is now: swinkit train "
            f"DATA --resume {folder.path}"
        )
    if processes.rank == 0:
        held.enter_context(folder.locked())
        folder.remove_leftovers()
    return replace(kept, runtime=replace(kept.runtime, resume=folder.path))


def open_folder(config: TrainConfig, processes: Processes, held: ExitStack) -> RunFolder:
    """The folder of the resumed run, or a new one that is locked; with the settings in it."""
    path = config.runtime.resume or config.runtime.out
    if processes.rank == 0:
        folder = RunFolder(path) if config.runtime.resume else RunFolder.create(path)
        path = folder.path
        if config.runtime.resume is None:
            held.enter_context(folder.locked())
        replace(config, runtime=replace(config.runtime, resume=None)).save(folder.config)
    return RunFolder(processes.shared(path))


def describe_run(config: TrainConfig, splits: Splits[Any], model: TaskModel[Any]) -> Run:
    """What a resumed run is compared with, and what its network is built from."""
    return {
        "settings": flat(config.to_dict()),
        "class_names": list(splits.class_names),
        "counts": {name: len(samples) for name, samples in splits.by_name().items()},
        "model": header_of(model)[HEADER],
    }


def differences(recorded: Run, config: TrainConfig, splits: Splits[Any]) -> list[str]:
    """How a run is no longer the one that was recorded, one line each."""
    before, after = recorded["settings"], flat(config.to_dict())
    lines = [
        f"{name} was {before.get(name)}, is {after.get(name)} now"
        for name in _refused(before, after)
        if name not in (*PLACES, *COUNTED)
    ]
    lines += _class_differences(recorded["class_names"], splits.class_names)
    counts = {name: len(samples) for name, samples in splits.by_name().items()}
    for name in dict.fromkeys((*recorded["counts"], *counts)):
        old, new = recorded["counts"].get(name, 0), counts.get(name, 0)
        if old != new:
            lines.append(f"{name} had {old} images, has {new} now")
    return lines


def _class_differences(old: Sequence[str], new: Sequence[str]) -> list[str]:
    gone = [f"the class {name!r} is gone" for name in old if name not in new]
    fresh = [f"the class {name!r} is new" for name in new if name not in old]
    if gone or fresh:
        return [*gone, *fresh]
    pairs = enumerate(zip(old, new, strict=False))
    return [f"class {place} was {a!r}, is {b!r} now" for place, (a, b) in pairs if a != b]


class Resumed:
    """The last state of a run.

    Args:
        folder: of the run.

    Raises:
        TrainingError: a state that is torn, or that is none.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.path = folder.resume
        self.state = StateFile().load_checkpoint(folder.resume)
        callbacks = self.state["callbacks"].values()
        found = [part["run"] for part in callbacks if isinstance(part, dict) and "run" in part]
        if len(found) != 1 or set(found[0]) != {"settings", "class_names", "counts", "model"}:
            raise TrainingError(
                f"{folder.resume} was not written by this version of swinkit; start again, or from "
                "last.safetensors with model.weights"
            )
        self.run: Run = found[0]
        self.steps = int(self.state["global_step"])

    def check(self, config: TrainConfig, splits: Splits[Any]) -> None:
        """Refuse another run than the recorded one.

        Raises:
            TrainingError: with the differences, which are logged too, one line each.
        """
        lines = differences(self.run, config, splits)
        if not lines:
            return
        if len(lines) > 1:
            for line in lines:
                logger.error("%s: %s", self.path.parent, line)
        raise TrainingError(
            f"cannot go on with {self.path.parent}: {_first(lines)}; bring back what was, or start "
            "a new run (from last.safetensors with model.weights)"
        )

    def build_model(self, config: TrainConfig) -> TaskModel[Any]:
        """The network of the state with the state's weights; its starting weights are not needed.

        Raises:
            TrainingError: a state whose tensors are not those of its network.
        """
        weights: Mapping[str, Tensor] = self.state["state_dict"]
        torch.manual_seed(config.runtime.seed)
        try:
            header = read_header({HEADER: self.run["model"]}, str(self.path))
            assert header is not None
            assert header.task is not None
            assert header.info is not None
            model: TaskModel[Any] = task_weights(header.task).build(header.config)
            model.info = header.info
            own = {
                name.removeprefix("model."): value
                for name, value in weights.items()
                if name.startswith("model.")
            }
            model.load_state_dict(own)
        except (SwinkitError, AssertionError, RuntimeError, TypeError) as error:
            reason = str(error).splitlines()[0] if str(error) else "its network is missing"
            raise TrainingError(
                f"{self.path} is damaged ({reason}); start again, or from last.safetensors with "
                "model.weights"
            ) from error
        freeze(model, config.model.frozen_stages)
        return model


def _first(lines: Iterable[str], most: int = 3) -> str:
    shown = list(lines)
    more = f", and {len(shown) - most} more" if len(shown) > most else ""
    return "; ".join(shown[:most]) + more
