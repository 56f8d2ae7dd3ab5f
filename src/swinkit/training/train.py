"""`swinkit.train`: a run from its data or settings to its folder."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import Callback
from rich.console import Console

from swinkit.checkpoints.load import load
from swinkit.data.config import DataConfig
from swinkit.engines.base import SLOW_BFLOAT16, multiplies_bfloat16
from swinkit.errors import ConfigError
from swinkit.settings import expand_user
from swinkit.task.model import TaskModel
from swinkit.task.train_config import TrainConfig
from swinkit.training.fit import fit, prepare
from swinkit.training.measure import measure
from swinkit.training.processes import Processes, find_device, find_precision, terminable, threads
from swinkit.training.progress import ends_in_words, quiet_libraries, run_log
from swinkit.training.recipes import SHORT, load_recipe, recorded_config
from swinkit.training.resume import settle_config
from swinkit.training.run_folder import RunFolder
from swinkit.training.trackers import check_trackers


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """Where a run lies and how well it went.

    Attributes:
        folder: the run folder.
        metrics: of the best epoch's weights, such as val_top1, val_box_ap or val_miou, from 0 to
            1, and test_* where there is a test split.
        epochs: epochs the run has in all; `best_epoch` counts from 1.
        seconds: of this call; a resumed run's earlier time is not in it.

    >>> run = swinkit.TrainResult(
    ...     folder="runs/train", metrics={"val_top1": 0.9}, epochs=3, best_epoch=2, seconds=60.0
    ... )
    >>> run.metrics["val_top1"]
    0.9
    >>> str(run.best)
    'runs/train/best.safetensors'
    """

    folder: Path
    metrics: dict[str, float]
    epochs: int
    best_epoch: int
    seconds: float

    @property
    def best(self) -> Path:
        """The weights of the best epoch, for `swinkit.load`, `predict` and `evaluate`."""
        return RunFolder(self.folder).best

    def model(self) -> TaskModel[Any]:
        """The model with the weights of the best epoch, on the CPU.

        Raises:
            CheckpointError: the folder is no longer there.
        """
        model = load(self.best, report=None)
        assert isinstance(model, TaskModel), "a run trains no bare backbone"
        return model


def train(
    data: str | Path | DataConfig | TrainConfig | None = None,
    *,
    recipe: str | Path | None = None,
    task: str | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    batch_size: int | Literal["auto"] | None = None,
    lr: float | None = None,
    image_size: int | None = None,
    workers: int | None = None,
    device: Literal["auto", "cpu", "cuda"] | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    name: str | None = None,
    weights: str | Path | None = None,
    logger: str | Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    callbacks: Sequence[Callback] = (),
    console: Console | None = None,
) -> TrainResult:
    """Train a classifier, a detector or a segmenter, as the data and the recipe say.

    On one CPU or GPU, or in every process that torchrun started. The arguments from `epochs` to
    `logger` are the usual settings; None keeps what the recipe says.

    Args:
        data: the images; or all settings of a run.
        recipe: a name or a YAML file; None fine-tunes published weights.
        task: what is learned; None takes what recipe, network or data say.
        epochs, steps, minutes: length of the run; one of them.
        batch_size: images per process and forward pass; "auto" takes what fits into memory.
        lr: highest learning rate.
        image_size: side of the input in pixels, the short one of detectors and segmenters.
        workers: processes that read images.
        device: "auto" takes the GPU where there is one.
        out: folder of the run.
        resume: folder of a run to go on with; settings that are named beside it must be among
            those that a run may change, such as a greater length, a moved data path or a device.
        name: a network of `swinkit models`.
        weights: what to start from.
        logger: where numbers go by step: tensorboard, csv, wandb, mlflow.
        settings: others by name, such as {"optimizer.kind": "muon"}.
        callbacks: Lightning's, beside swinkit's own; `trainer.callback_metrics` holds the
            validation, such as val_top1, val_box_ap or val_miou.
        console: where progress goes; the terminal by default.

    Raises:
        SwinkitError: settings, data, weights or a disk with which it cannot go on.

    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> photos = pathlib.Path(tempfile.mkdtemp())
    >>> for number in range(12):  # one folder per class
    ...     file = photos / ("red", "blue")[number % 2] / f"{number}.png"
    ...     file.parent.mkdir(exist_ok=True)
    ...     Image.new("RGB", (32, 32), file.parent.name).save(file)
    >>> tiny = swinkit.SwinConfig(embed_dim=8, depths=(1,), num_heads=(1,), norm_stages=(0,))
    >>> run = swinkit.train(
    ...     photos,
    ...     recipe="small_data",
    ...     epochs=1,
    ...     image_size=32,
    ...     workers=0,
    ...     out=photos.with_name("run"),
    ...     settings={"architecture": tiny, "runtime.preview": False},
    ... )  # doctest: +ELLIPSIS
    /...best.safetensors...
    >>> sorted(run.metrics)
    ['val_loss', 'val_top1', 'val_top5']
    >>> swinkit.predict(photos / "red", run.best)[0].label in ("red", "blue")
    True
    """
    usual = {
        **{"epochs": epochs, "steps": steps, "minutes": minutes, "batch_size": batch_size},
        **{"lr": lr, "image_size": image_size, "workers": workers, "device": device, "out": out},
        **{"resume": resume, "name": name, "weights": weights, "logger": logger},
    }
    named = {SHORT[key]: value for key, value in usual.items() if value is not None}
    config, changes = _settled(data, recipe, task, {**named, **(settings or {})})
    return _run(config, changes, callbacks, console)


def pretrain(
    data: str | Path | DataConfig | TrainConfig | None = None,
    *,
    recipe: str | Path | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    batch_size: int | Literal["auto"] | None = None,
    lr: float | None = None,
    image_size: int | None = None,
    workers: int | None = None,
    device: Literal["auto", "cpu", "cuda"] | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    name: str | None = None,
    weights: str | Path | None = None,
    logger: str | Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    callbacks: Sequence[Callback] = (),
    console: Console | None = None,
) -> TrainResult:
    """Pretrain a backbone on images without labels: it learns to fill in hidden squares (SimMIM,
    2111.09886). `train(weights=result.best)` goes on from it.

    Args:
        data: a folder of images, with folders in it or without, or data of any task, whose labels
            are left alone; or all settings of a run.
        recipe, epochs, steps, minutes, batch_size, lr, image_size, workers, device, out, resume,
            name, weights, logger, callbacks, console: as of `train`.
        settings: others by name, such as {"masking.ratio": 0.5}.

    Raises:
        SwinkitError: as `train`.

    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> photos = pathlib.Path(tempfile.mkdtemp()) / "photos"
    >>> photos.mkdir()
    >>> for number in range(8):
    ...     Image.new("RGB", (32, 32), (30 * number, 90, 0)).save(photos / f"{number}.png")
    >>> tiny = swinkit.SwinConfig(embed_dim=8, depths=(1,), num_heads=(1,), norm_stages=(0,))
    >>> run = swinkit.pretrain(
    ...     photos,
    ...     steps=1,
    ...     image_size=32,
    ...     workers=0,
    ...     out=photos.with_name("run"),
    ...     settings={"architecture": tiny, "runtime.preview": False, "masking.patch": 8},
    ... )  # doctest: +ELLIPSIS
    /...best.safetensors...
    >>> sorted(run.metrics)
    ['val_loss']
    """
    given = isinstance(data, TrainConfig)
    return train(
        data,
        recipe=recipe,
        task=None if given or resume is not None else "pretraining",
        epochs=epochs,
        steps=steps,
        minutes=minutes,
        batch_size=batch_size,
        lr=lr,
        image_size=image_size,
        workers=workers,
        device=device,
        out=out,
        resume=resume,
        name=name,
        weights=weights,
        logger=logger,
        settings=settings,
        callbacks=callbacks,
        console=console,
    )


def _settled(
    data: str | Path | DataConfig | TrainConfig | None,
    recipe: str | Path | None,
    task: str | None,
    settings: Mapping[str, Any],
) -> tuple[TrainConfig, Mapping[str, Any]]:
    """All settings of a run; of a resumed one its own, and those that are to change.

    Raises:
        ConfigError: nothing to train on, or settings that contradict each other.
    """
    if isinstance(data, TrainConfig) and (recipe is not None or task is not None):
        raise ConfigError("a TrainConfig holds all settings; leave recipe and task out")
    own = data.runtime.resume if isinstance(data, TrainConfig) else None
    resume = settings.get("runtime.resume") or own
    if resume is not None:
        if recipe is not None:
            raise ConfigError("a resumed run has its settings recorded; leave the recipe out")
        changes = {key: value for key, value in settings.items() if key != "runtime.resume"}
        if isinstance(data, (str, Path)):
            changes["data.path"] = data
        folder = expand_user(Path(resume))
        config = data if isinstance(data, TrainConfig) else recorded_config(folder)
        return replace(config, runtime=replace(config.runtime, resume=folder)), changes
    if data is None:
        raise ConfigError("no images to train on; name their folder")
    config = data if isinstance(data, TrainConfig) else load_recipe(recipe, data, task=task)
    lengths = [name.removeprefix("schedule.") for name in settings if name.startswith("schedule.")]
    config = replace(config, schedule=config.schedule.freed(lengths))
    return config.changed(settings), {}


def _run(
    config: TrainConfig,
    changes: Mapping[str, Any],
    callbacks: Sequence[Callback],
    console: Console | None,
) -> TrainResult:
    started = time.perf_counter()
    processes = Processes.from_torchrun()
    screen = (console or Console()) if processes.rank == 0 else Console(quiet=True)
    with contextlib.ExitStack() as held:
        held.enter_context(terminable())
        held.enter_context(quiet_libraries())
        log = held.enter_context(run_log(screen))
        config = settle_config(config, changes, processes, held)
        check_trackers(config.runtime.logger)
        device = find_device(config.runtime.device)
        if config.runtime.precision == "bf16" and not multiplies_bfloat16(device):
            screen.print(SLOW_BFLOAT16)
        held.enter_context(threads(config.runtime.threads))
        held.enter_context(processes.connected(device))
        precision = processes.shared(find_precision(config.runtime.precision, device))
        config = replace(config, runtime=replace(config.runtime, precision=precision))
        run = prepare(config, processes, device, screen, held, callbacks)
        if processes.rank == 0:
            log.keep_in(run.folder)
        with ends_in_words(run.folder, screen, processes):
            recorder = fit(run)
            # The others wait here for the first one, which still measures the best weights.
            metrics = processes.shared(measure(run, recorder) if processes.rank == 0 else {})
    return TrainResult(
        folder=run.folder.path,
        metrics=metrics,
        epochs=len(recorder.rows),
        best_epoch=recorder.best_epoch,
        seconds=time.perf_counter() - started,
    )
