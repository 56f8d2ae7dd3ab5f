"""`swinkit.train`: a run from its settings to its folder."""

import contextlib
import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console
from torch.utils.data import DataLoader

from swinkit.checkpoints.load import load
from swinkit.console import ImagesBar
from swinkit.data.loading import EpochDataset, build_loader
from swinkit.registry import evaluate, get_task
from swinkit.settings import flat
from swinkit.task.model import TaskModel
from swinkit.task.train_config import TrainConfig
from swinkit.task.training import TrainingTask
from swinkit.training.batch_size import settle_batch_size
from swinkit.training.module import TrainingModule, build_model
from swinkit.training.processes import (
    DeviceType,
    Processes,
    find_device,
    interruptible,
    terminable,
    threads,
)
from swinkit.training.progress import RunProgress, announce, ends_in_words, quiet_libraries, run_log
from swinkit.training.recorder import Recorder, WeightAverage
from swinkit.training.resume import LENGTHS, Resumed, describe_run, open_folder, settle_config
from swinkit.training.run_folder import RunFolder, StateFile
from swinkit.training.schedule import Budget, Schedule

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """Where a run lies and how well it went.

    Attributes:
        folder: the run folder; `best.safetensors` in it is the model.
        metrics: of the best epoch's weights, such as val_top1, val_box_ap or val_miou, and
            test_* where there is a test split.
        epochs: epochs the run has in all; `best_epoch` counts from 1.
        seconds: of this call; a resumed run's earlier time is not in it.

    >>> result = swinkit.TrainResult(
    ...     folder="runs/train", metrics={"val_top1": 0.9}, epochs=3, best_epoch=2, seconds=60.0
    ... )
    >>> result.metrics["val_top1"]
    0.9
    """

    folder: Path
    metrics: dict[str, float]
    epochs: int
    best_epoch: int
    seconds: float


def train(
    config: TrainConfig,
    *,
    changes: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> TrainResult:
    """Train a classifier, a detector or a segmenter, as the settings and the data say.

    On one CPU or GPU, or in every process that torchrun started.

    Args:
        config: all settings; with `runtime.resume` only that one counts, the rest is read from
            the run's folder.
        changes: of a resumed run: settings that take the place of the recorded ones, by name, such
            as {"schedule.epochs": 100}. A longer run, a moved data path, another device and what
            else does not matter to the numbers is obeyed, anything else refused.
        console: where progress goes; the terminal by default.

    Raises:
        SwinkitError: settings, data, weights or a disk with which it cannot go on.

    >>> import dataclasses, pathlib, tempfile
    >>> from PIL import Image
    >>> photos = pathlib.Path(tempfile.mkdtemp())
    >>> for number in range(12):  # one folder per class
    ...     file = photos / ("red", "blue")[number % 2] / f"{number}.png"
    ...     file.parent.mkdir(exist_ok=True)
    ...     Image.new("RGB", (32, 32), file.parent.name).save(file)
    >>> config = swinkit.load_recipe("small_data", photos)
    >>> tiny = swinkit.SwinConfig(embed_dim=8, depths=(1,), num_heads=(1,), norm_stages=(0,))
    >>> config = dataclasses.replace(
    ...     config,
    ...     architecture=tiny,
    ...     data=dataclasses.replace(config.data, workers=0),
    ...     model=dataclasses.replace(config.model, image_size=32),
    ...     schedule=dataclasses.replace(config.schedule, epochs=1),
    ...     runtime=dataclasses.replace(config.runtime, out=photos / "run", preview=False),
    ... )
    >>> result = swinkit.train(config)  # doctest: +ELLIPSIS
    /...best.safetensors
    >>> sorted(result.metrics)
    ['val_loss', 'val_top1', 'val_top5']
    """
    started = time.perf_counter()
    processes = Processes.from_torchrun()
    screen = (console or Console()) if processes.rank == 0 else Console(quiet=True)
    with contextlib.ExitStack() as held:
        held.enter_context(terminable())
        held.enter_context(quiet_libraries())
        log = held.enter_context(run_log(screen))
        config = settle_config(config, changes or {}, processes, held)
        device = find_device(config.runtime.device)
        held.enter_context(threads(config.runtime.threads))
        held.enter_context(processes.connected(device))
        run = _prepare(config, processes, device, screen, held)
        if processes.rank == 0:
            log.keep_in(run.folder)
        with ends_in_words(run.folder, screen):
            recorder = _fit(run)
            # The others wait here for the first one, which still measures the best weights.
            metrics = processes.shared(_measure(run, recorder) if processes.rank == 0 else {})
    return TrainResult(
        folder=run.folder.path,
        metrics=metrics,
        epochs=len(recorder.rows),
        best_epoch=recorder.best_epoch,
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What stays the same through a run; its batch size is a number by now."""

    config: TrainConfig
    task: TrainingTask[Any]
    model: TaskModel[Any]
    batch_size: int
    folder: RunFolder
    resumed: Resumed | None
    processes: Processes
    device: DeviceType
    screen: Console

    @property
    def images_per_step(self) -> int:
        """Over all processes."""
        return self.batch_size * self.processes.size * self.config.runtime.accumulate


def _prepare(
    config: TrainConfig,
    processes: Processes,
    device: DeviceType,
    screen: Console,
    held: ExitStack,
) -> _Run:
    """Data, network, batch size and folder."""
    task = get_task(config.task).training(config)
    resume, resumed = config.runtime.resume, None
    if resume is not None and RunFolder(resume).resume.is_file():
        resumed = Resumed(RunFolder(resume))
        resumed.check(config, task.splits)
        model = resumed.build_model(config)
    else:
        model = build_model(task)
    batch_size = settle_batch_size(config, task, model, processes, device)
    config = replace(config, runtime=replace(config.runtime, batch_size=batch_size))
    return _Run(
        config=config,
        task=task,
        model=model,
        batch_size=batch_size,
        folder=open_folder(config, processes, held),
        resumed=resumed,
        processes=processes,
        device=device,
        screen=screen,
    )


def _fit(run: _Run) -> Recorder:
    """Train, from the start or from the last state."""
    schedule, runtime = run.config.schedule, run.config.runtime
    train_set = run.task.dataset(run.model, run.task.splits.train, train=True)
    val_set = run.task.dataset(run.model, run.task.splits.val, train=False)
    train_batches, val_batches = _loader(run, train_set, True), _loader(run, val_set, False)
    average = None if runtime.ema is None else WeightAverage(runtime.ema)
    recorder = Recorder(
        run.folder,
        run.task,
        train_set,
        average=average,
        early_stop=schedule.early_stop,
        preview=runtime.preview,
        images_per_step=run.images_per_step,
        run=describe_run(run.config, run.task.splits, run.model),
    )
    state = _last_state(run, recorder)
    where = f"{run.device} x {run.processes.size}".removesuffix(" x 1")
    announce(run.folder.path, run.model, run.task, run.images_per_step, where)
    if recorder.over(schedule):
        logger.info("%s has already come to its end", run.folder.path)
        return recorder
    spent = sum(row["seconds"] for row in recorder.rows)
    budget = Budget(schedule, run.processes, spent_seconds=spent)
    # A last incomplete accumulation is a step too.
    steps_per_epoch = -(-len(train_batches) // runtime.accumulate)
    if runtime.compile:
        run.model.compile()
    module = TrainingModule(
        run.model,
        run.task,
        schedule=Schedule(schedule, steps_per_epoch, budget.clock),
        images_per_step=run.images_per_step,
    )
    callbacks = [budget, recorder, RunProgress(recorder, budget, run.screen)]
    trainer = _trainer(
        run,
        callbacks if average is None else [average, *callbacks],
        epochs=budget.most_epochs(
            steps_per_epoch,
            epochs_done=len(recorder.rows),
            steps_done=0 if state is None or run.resumed is None else run.resumed.steps,
        ),
        epochs_done=len(recorder.rows),
    )
    with interruptible(trainer):
        trainer.fit(module, train_batches, val_batches, ckpt_path=state, weights_only=True)
    return recorder


def _loader(run: _Run, samples: EpochDataset, train: bool) -> DataLoader:
    return build_loader(
        samples,
        batch_size=run.batch_size,
        shuffle=train,
        drop_last=train,
        workers=run.config.data.workers,
        seed=run.config.runtime.seed,
        rank=run.processes.rank,
        world_size=run.processes.size,
        pin_memory=run.device == "cuda",
        collate=run.task.collate,
        passes=run.config.schedule.passes if train else 1,
    )


def _last_state(run: _Run, recorder: Recorder) -> Path | None:
    """The state that a resumed run goes on from, its rows given to the recorder.

    A state from before the first epoch holds only the weights, which the network has by now.
    """
    if run.resumed is None:
        return None
    recorder.load_state_dict(run.resumed.state["callbacks"][recorder.state_key])
    before = run.resumed.run["settings"]
    now = flat(run.config.to_dict())
    if any(before.get(name) != now.get(name) for name in LENGTHS):
        recorder.finished = False  # it was made longer
    return run.folder.resume if recorder.rows else None


def _trainer(run: _Run, callbacks: list[Callback], *, epochs: int, epochs_done: int) -> Trainer:
    runtime, processes = run.config.runtime, run.processes
    several = processes.size > 1
    uneven = "ddp_find_unused_parameters_true" if run.task.uneven else "ddp"
    return Trainer(
        accelerator="gpu" if run.device == "cuda" else "cpu",
        devices=processes.local_size,
        num_nodes=processes.size // processes.local_size,
        strategy=uneven if several else "auto",
        precision="bf16-mixed" if runtime.precision == "bf16" else "32-true",
        max_epochs=epochs,
        accumulate_grad_batches=runtime.accumulate,
        gradient_clip_val=run.config.optimizer.clip_norm,
        callbacks=callbacks,
        logger=TensorBoardLogger(
            run.folder.path, name="tensorboard", version="", purge_step=epochs_done + 1
        ),
        plugins=[StateFile(), TorchElasticEnvironment() if several else LightningEnvironment()],
        default_root_dir=run.folder.path,
        sync_batchnorm=several and run.device == "cuda",
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def _measure(run: _Run, recorder: Recorder) -> dict[str, float]:
    """Measure the best weights on every held-out split; write reports and pictures."""
    run.folder.check_there()
    recorder.draw_curves()
    model = load(run.folder.best, report=None)
    assert isinstance(model, TaskModel), "a run trains no bare backbone"
    metrics: dict[str, float] = {}
    for split in ("val", "test"):
        samples = run.task.splits.by_name().get(split)
        if samples is None:
            continue
        with ImagesBar(run.screen, f"measuring {split}:") as bar:
            report = evaluate(
                model,
                samples,
                options=run.task.evaluate_options(),
                batch_size=run.batch_size,
                device=run.device,
                out=run.folder.path / split if run.config.runtime.preview else None,
                on_bad_image=run.config.data.on_bad_image,
                progress=bar.images,
            )
        metrics |= {f"{split}_{name}": value for name, value in report.numbers().items()}
    summary = {"epochs": len(recorder.rows), "best_epoch": recorder.best_epoch, **metrics}
    run.folder.write_json(run.folder.summary, summary)
    logger.info(
        "best epoch %d of %d: %s; weights in %s",
        recorder.best_epoch,
        len(recorder.rows),
        ", ".join(f"{n} {value:.2%}" for n, value in metrics.items() if "loss" not in n),
        run.folder.best,
    )
    return metrics
