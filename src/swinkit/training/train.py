"""`swinkit.train`: a run from its settings to its folder."""

import logging
import time
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
    threads,
)
from swinkit.training.progress import RunProgress, announce, quiet_libraries, run_log
from swinkit.training.recipes import read_config
from swinkit.training.recorder import Recorder, WeightAverage
from swinkit.training.run_folder import RunFolder, StateFile, open_folder
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


def train(config: TrainConfig, *, console: Console | None = None) -> TrainResult:
    """Train a classifier, a detector or a segmenter, as the settings and the data say.

    On one CPU or GPU, or in every process that torchrun started.

    Args:
        config: all settings; with `runtime.resume` only that one counts, the rest is read from
            the run's folder.
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
    config = _settle(config)
    processes = Processes.from_torchrun()
    device = find_device(config.runtime.device)
    screen = (console or Console()) if processes.rank == 0 else Console(quiet=True)
    with (
        quiet_libraries(),
        threads(config.runtime.threads),
        processes.connected(device),
        run_log(screen) as log,
    ):
        run = _prepare(config, processes, device, screen)
        if processes.rank == 0:
            log.keep_in(run.folder)
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
    processes: Processes
    device: DeviceType
    screen: Console

    @property
    def images_per_step(self) -> int:
        """Over all processes."""
        return self.batch_size * self.processes.size * self.config.runtime.accumulate


def _settle(config: TrainConfig) -> TrainConfig:
    """A resumed run's own settings; a new run's with an absolute data path."""
    resume = config.runtime.resume
    if resume is None:
        path = config.data.path.expanduser().resolve()
        return replace(config, data=replace(config.data, path=path))
    kept = read_config(RunFolder.open(resume).config)
    return replace(kept, runtime=replace(kept.runtime, resume=resume))


def _prepare(
    config: TrainConfig, processes: Processes, device: DeviceType, screen: Console
) -> _Run:
    """Data, network, batch size and folder."""
    task = get_task(config.task).training(config)
    model = build_model(task)
    batch_size = settle_batch_size(config, task, model, processes, device)
    config = replace(config, runtime=replace(config.runtime, batch_size=batch_size))
    return _Run(
        config=config,
        task=task,
        model=model,
        batch_size=batch_size,
        folder=open_folder(config, processes),
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
        epochs=budget.most_epochs(steps_per_epoch),
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
    """The state that a resumed run goes on from, its rows given to the recorder."""
    if run.config.runtime.resume is None or not run.folder.resume.is_file():
        return None
    state = StateFile().load_checkpoint(run.folder.resume)
    recorder.load_state_dict(state["callbacks"][recorder.state_key])
    return run.folder.resume


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
