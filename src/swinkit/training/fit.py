"""One run: its data, network and folder, and Lightning's trainer over them."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from rich.console import Console
from torch.utils.data import DataLoader

from swinkit.data.loading import EpochDataset, build_loader
from swinkit.registry import find_images_of, get_task
from swinkit.settings import flat
from swinkit.task.model import TaskModel
from swinkit.task.train_config import TrainConfig
from swinkit.task.training import TrainingTask
from swinkit.training.batch_size import settle_batch_size
from swinkit.training.module import TrainingModule, build_model
from swinkit.training.processes import DeviceType, Processes, interruptible
from swinkit.training.progress import RunProgress, announce
from swinkit.training.recorder import Recorder, WeightAverage
from swinkit.training.resume import LENGTHS, Resumed, describe_run, open_folder
from swinkit.training.run_folder import RunFolder, StateFile
from swinkit.training.schedule import Budget, Schedule
from swinkit.training.step_log import StepLog
from swinkit.training.trackers import build_trackers

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Run:
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
    callbacks: tuple[Callback, ...]
    trackers: list[Logger]

    @property
    def images_per_step(self) -> int:
        """Over all processes."""
        return self.batch_size * self.processes.size * self.config.runtime.accumulate

    @property
    def steps_done(self) -> int:
        """Optimizer steps of earlier sittings."""
        return 0 if self.resumed is None else self.resumed.steps


def prepare(
    config: TrainConfig,
    processes: Processes,
    device: DeviceType,
    screen: Console,
    held: ExitStack,
    callbacks: Sequence[Callback],
) -> Run:
    """Data, network, batch size and folder."""
    task = get_task(config.task).training_with(config, find_images_of)
    resume, resumed = config.runtime.resume, None
    if resume is not None and RunFolder(resume).resume.is_file():
        resumed = Resumed(RunFolder(resume))
        resumed.check(config, task.splits)
        model = resumed.build_model(config)
    else:
        model = build_model(task)
    batch_size = settle_batch_size(config, task, model, processes, device)
    config = replace(config, runtime=replace(config.runtime, batch_size=batch_size))
    folder = open_folder(config, processes, held)
    return Run(
        config=config,
        task=task,
        model=model,
        batch_size=batch_size,
        folder=folder,
        resumed=resumed,
        processes=processes,
        device=device,
        screen=screen,
        callbacks=tuple(callbacks),
        trackers=build_trackers(
            config.runtime.logger,
            folder.path,
            config.to_dict(),
            steps_done=0 if resumed is None else resumed.steps,
        ),
    )


def fit(run: Run) -> Recorder:
    """Train, from the start or from the last state."""
    schedule, runtime = run.config.schedule, run.config.runtime
    train_set = run.task.dataset(run.model, run.task.splits.train, train=True)
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
    where += " in bf16" if run.config.runtime.precision == "bf16" else ""
    announce(run.folder.path, run.model, run.task, run.images_per_step, where)
    if recorder.over(schedule):
        logger.info("%s has already come to its end", run.folder.path)
    else:
        _go_on(run, recorder, train_set, state)
    return recorder


def _go_on(run: Run, recorder: Recorder, train_set: EpochDataset, state: Path | None) -> None:
    """Train to the end, from the state if there is one."""
    schedule, runtime = run.config.schedule, run.config.runtime
    val_set = run.task.dataset(run.model, run.task.splits.val, train=False)
    train_batches, val_batches = _loader(run, train_set, True), _loader(run, val_set, False)
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
    trainer = _trainer(
        run,
        [
            *([] if recorder.average is None else [recorder.average]),
            *(budget, recorder, RunProgress(recorder, budget, run.screen)),
            *(StepLog(run.task, budget, schedule), *run.callbacks),
        ],
        epochs=budget.most_epochs(
            steps_per_epoch,
            epochs_done=len(recorder.rows),
            steps_done=0 if state is None else run.steps_done,
        ),
    )
    with interruptible(trainer):
        trainer.fit(module, train_batches, val_batches, ckpt_path=state, weights_only=True)


def _loader(run: Run, samples: EpochDataset, train: bool) -> DataLoader:
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


def _last_state(run: Run, recorder: Recorder) -> Path | None:
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


def _trainer(run: Run, callbacks: list[Callback], *, epochs: int) -> Trainer:
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
        logger=run.trackers,
        plugins=[StateFile(), TorchElasticEnvironment() if several else LightningEnvironment()],
        default_root_dir=run.folder.path,
        sync_batchnorm=several and run.device == "cuda",
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
