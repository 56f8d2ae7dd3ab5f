"""`swinkit.train`: a run from its settings to its folder."""

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console

from swinkit.checkpoints.load import load
from swinkit.console import ImagesBar
from swinkit.task.train_config import TrainConfig
from swinkit.training.batch_size import find_batch_size
from swinkit.training.find_task import make_task
from swinkit.training.loaders import Loaders, build_loaders
from swinkit.training.module import Training
from swinkit.training.processes import (
    DeviceType,
    Processes,
    find_device,
    interruptible,
    threads,
)
from swinkit.training.progress import RunLog, RunProgress, announce, quiet_libraries
from swinkit.training.recorder import Recorder
from swinkit.training.run_folder import RunFolder, StateFile
from swinkit.training.schedule import Budget, Schedule
from swinkit.training.weight_average import WeightAverage

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
    """
    started = time.perf_counter()
    config = _settled(config)
    processes = Processes.from_torchrun()
    device = find_device(config.runtime.device)
    screen = (console or Console()) if processes.rank == 0 else Console(quiet=True)
    with (
        quiet_libraries(),
        threads(config.runtime.threads),
        processes.connected(device),
        RunLog(screen) as log,
    ):
        run = _Run(config, processes, device, screen, log)
        recorder = run.fit()
        # The others wait here for the first one, which still measures the best weights.
        metrics = processes.shared(run.finish(recorder) if processes.rank == 0 else {})
    return TrainResult(
        folder=recorder.folder.path,
        metrics=metrics,
        epochs=len(recorder.rows),
        best_epoch=recorder.best_epoch,
        seconds=time.perf_counter() - started,
    )


def _settled(config: TrainConfig) -> TrainConfig:
    """A resumed run's own settings; a new run's with an absolute data path."""
    resume = config.runtime.resume
    if resume is None:
        path = config.data.path.expanduser().resolve()
        return replace(config, data=replace(config.data, path=path))
    kept = TrainConfig.load(RunFolder.open(resume).config)
    return replace(kept, runtime=replace(kept.runtime, resume=resume))


class _Run:
    """The parts of one run, in the order in which they come to be."""

    def __init__(
        self,
        config: TrainConfig,
        processes: Processes,
        device: DeviceType,
        screen: Console,
        log: RunLog,
    ) -> None:
        self.processes = processes
        self.device: DeviceType = device
        self.screen = screen
        self.task = make_task(config)
        self.model = self.task.build_model()
        self.config = self._with_batch_size(config)
        self.folder = self._folder()
        if processes.rank == 0:
            log.keep_in(self.folder)

    @property
    def batch_size(self) -> int:
        size = self.config.runtime.batch_size
        assert isinstance(size, int)
        return size

    @property
    def images_per_step(self) -> int:
        return self.batch_size * self.processes.size * self.config.runtime.accumulate

    def _with_batch_size(self, config: TrainConfig) -> TrainConfig:
        if config.runtime.batch_size != "auto":
            return config
        size = find_batch_size(
            self.model,
            self.task.probe_shape(self.model),
            device=torch.device(self.device, self.processes.local_rank)
            if self.device == "cuda"
            else torch.device("cpu"),
            precision=config.runtime.precision,
            images=len(self.task.splits.train) * config.schedule.passes // self.processes.size,
            processes=1 if self.device == "cuda" else self.processes.local_size,
            loss=self.task.probe,
        )
        # Ranks may have measured differently; the first one's answer holds for all.
        size = self.processes.shared(size)
        logger.info("batch size %d fits into memory", size)
        return replace(config, runtime=replace(config.runtime, batch_size=size))

    def _folder(self) -> RunFolder:
        resume = self.config.runtime.resume
        if resume is not None:
            return RunFolder(resume)
        path = self.config.runtime.out
        if self.processes.rank == 0:
            folder = RunFolder.create(path)
            path = folder.path
            self.config.save(folder.config)
        return RunFolder(self.processes.shared(path))

    def fit(self) -> Recorder:
        """Train, from the start or from the last state."""
        task, runtime = self.task, self.config.runtime
        loaders = build_loaders(
            self.config,
            task.dataset(self.model, task.splits.train, train=True),
            task.dataset(self.model, task.splits.val, train=False),
            self.batch_size,
            self.processes,
            pin_memory=self.device == "cuda",
            collate=task.collate,
        )
        average = None if runtime.ema is None else WeightAverage(runtime.ema)
        recorder = Recorder(
            self.folder,
            task,
            loaders.train_set,
            average=average,
            early_stop=self.config.schedule.early_stop,
            preview=runtime.preview,
            images_per_step=self.images_per_step,
        )
        state = self._state(recorder)
        where = f"{self.device} x {self.processes.size}"
        announce(self.folder.path, self.model, task, self.images_per_step, where)
        if recorder.over(self.config.schedule):
            logger.info("%s has already come to its end", self.folder.path)
            return recorder
        spent = sum(row["seconds"] for row in recorder.rows)
        budget = Budget(self.config.schedule, self.processes, spent_seconds=spent)
        module = self._module(loaders, budget)
        epochs = budget.most_epochs(loaders.steps_per_epoch(runtime.accumulate))
        trainer = self._trainer(recorder, average, budget, epochs)
        with interruptible(trainer):
            trainer.fit(module, loaders.train, loaders.val, ckpt_path=state, weights_only=True)
        return recorder

    def _state(self, recorder: Recorder) -> Path | None:
        if self.config.runtime.resume is None or not self.folder.resume.is_file():
            return None
        state = StateFile().load_checkpoint(self.folder.resume)
        recorder.load_state_dict(state["callbacks"][recorder.state_key])
        return self.folder.resume

    def _module(self, loaders: Loaders, budget: Budget) -> Training:
        if self.config.runtime.compile:
            self.model.compile()
        schedule = self.config.schedule
        return Training(
            self.model,
            self.task,
            self.config,
            schedule=Schedule.from_config(
                schedule,
                loaders.steps_per_epoch(self.config.runtime.accumulate),
                clock=None if schedule.minutes is None else budget.clock,
            ),
            images_per_step=self.images_per_step,
        )

    def _trainer(
        self, recorder: Recorder, average: WeightAverage | None, budget: Budget, epochs: int
    ) -> Trainer:
        runtime, several = self.config.runtime, self.processes.size > 1
        callbacks = [budget, recorder, RunProgress(recorder, budget, self.screen)]
        uneven = "ddp_find_unused_parameters_true" if self.task.uneven else "ddp"
        return Trainer(
            accelerator="gpu" if self.device == "cuda" else "cpu",
            devices=self.processes.local_size,
            num_nodes=self.processes.size // self.processes.local_size,
            strategy=uneven if several else "auto",
            precision="bf16-mixed" if runtime.precision == "bf16" else "32-true",
            max_epochs=epochs,
            accumulate_grad_batches=runtime.accumulate,
            gradient_clip_val=self.config.optimizer.clip_norm,
            callbacks=callbacks if average is None else [average, *callbacks],
            logger=TensorBoardLogger(
                self.folder.path, name="tensorboard", version="", purge_step=len(recorder.rows) + 1
            ),
            plugins=[
                StateFile(),
                TorchElasticEnvironment() if several else LightningEnvironment(),
            ],
            default_root_dir=self.folder.path,
            sync_batchnorm=several and self.device == "cuda",
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )

    def finish(self, recorder: Recorder) -> dict[str, float]:
        """Measure the best weights on every held-out split; write reports and pictures."""
        recorder.draw_curves()
        model = load(self.folder.best, report=None)
        metrics: dict[str, float] = {}
        for split in ("val", "test"):
            samples = self.task.splits.by_name().get(split)
            if samples is None:
                continue
            with ImagesBar(self.screen, f"measuring {split}:") as bar:
                measured = self.task.evaluate(
                    model,
                    samples,
                    batch_size=self.batch_size,
                    device=self.device,
                    out=self.folder.path / split if self.config.runtime.preview else None,
                    progress=bar.images,
                )
            metrics |= {f"{split}_{name}": value for name, value in measured.items()}
        summary = {"epochs": len(recorder.rows), "best_epoch": recorder.best_epoch, **metrics}
        self.folder.write_json(self.folder.summary, summary)
        logger.info(
            "best epoch %d of %d: %s; weights in %s",
            recorder.best_epoch,
            len(recorder.rows),
            ", ".join(f"{n} {value:.2%}" for n, value in metrics.items() if "loss" not in n),
            self.folder.best,
        )
        return metrics
