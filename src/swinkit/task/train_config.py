"""The settings of a training run that all tasks share, as plain data.

Each task's `train_config.py` adds its own. Importing this needs no PyTorch.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from tyro.conf import arg

from swinkit.data.config import DataConfig
from swinkit.errors import ConfigError
from swinkit.settings import (
    PlainConfig,
    at_least,
    expand_user,
    finite,
    one_of,
    to_plain,
    write_yaml,
)

OwnConfig = TypeVar("OwnConfig", bound="TrainConfig")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which network, and where its weights start."""

    name: Annotated[str, arg(aliases=("--name",))] = "swin_t"
    """A variant of `swinkit models`, of classifiers "auto" too; unused beside a model's weights."""
    weights: Annotated[str | None, arg(aliases=("--weights",))] = None
    """Start from these: a file, a published name, a hub id or a URL. A detector or a segmenter may
    start from a classifier's backbone. None starts from scratch."""
    image_size: Annotated[int | None, arg(aliases=("--image-size",))] = None
    """Side of the input in pixels, the short one of detectors and segmenters; None takes the
    variant's or the weights' own."""
    window_size: int | None = None
    """Side of a window in tokens; None takes the variant's or the weights' own."""
    drop_path_rate: float | None = None
    """Stochastic depth of the last block, from 0 in the first; None takes the variant's own."""
    frozen_stages: int = 0
    """Stages, counted from the input, that do not learn; from 1 on the patch embedding too."""
    gradient_checkpointing: bool = False
    """Compute blocks twice to need less memory."""

    def __post_init__(self) -> None:
        at_least("model", self, image_size=1, window_size=1, frozen_stages=0, drop_path_rate=0)
        if self.weights is not None:
            if not self.weights.strip():
                raise ConfigError("model: weights is empty; name a file, or leave it out")
            object.__setattr__(self, "weights", os.path.expanduser(self.weights))


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW or Muon, and what belongs to it."""

    kind: Literal["adamw", "muon"] = "adamw"
    """"muon" moves the matrices of the blocks by Muon (2502.16982) and the rest by AdamW: from
    scratch it learns in fewer steps."""
    lr: Annotated[float, arg(aliases=("--lr",))] = 5e-4
    """Highest learning rate."""
    lr_batch: int | None = None
    """`lr` is meant for this many images per step and scaled linearly to yours (the paper states
    it for 1024); None takes `lr` as it is."""
    weight_decay: float = 0.05
    """Not applied to norms, biases, position biases and logit scales."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's averaging of the gradient and of its square."""
    layer_decay: float = 1.0
    """Each block learns this much slower than the one after it; 1 switches it off."""
    clip_norm: float | None = 5.0
    """Greatest norm of the gradient; None does not clip."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(float(beta) for beta in self.betas))
        at_least("optimizer", self, weight_decay=0, lr_batch=1)
        if self.kind not in ("adamw", "muon"):
            raise ConfigError(f"optimizer: kind is {self.kind!r}; choose adamw or muon")
        if not self.lr > 0 or not 0 < self.layer_decay <= 1:
            raise ConfigError(
                f"optimizer: lr is {self.lr}, it must be > 0; layer_decay is "
                f"{self.layer_decay}, it must lie in (0, 1]"
            )
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ConfigError(f"optimizer: clip_norm is {self.clip_norm}; use a value > 0 or none")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"optimizer: betas is {self.betas}; give two values in [0, 1)")

    def peak_lr(self, images_per_step: int) -> float:
        """The highest learning rate for that many images per optimizer step."""
        return self.lr if self.lr_batch is None else self.lr * images_per_step / self.lr_batch


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """How long, and how the learning rate goes: linear warm-up, then a decay."""

    kind: Literal["cosine", "poly", "multistep"] = "cosine"
    """Half a cosine; or (1 - part done) ** power; or drops at the milestones."""
    epochs: Annotated[int, arg(aliases=("--epochs",))] = 30
    """Length of the run, unless steps or minutes say it."""
    passes: int = 1
    """Passes over the training images in an epoch; each epoch ends with a validation."""
    steps: Annotated[int | None, arg(aliases=("--steps",))] = None
    """Length of the run in optimizer steps, in place of epochs."""
    minutes: Annotated[float | None, arg(aliases=("--minutes",))] = None
    """Length of the run by the clock, in place of epochs. The decay follows the clock and is
    complete at the end; the last validation and the report come on top."""
    warmup_epochs: float = 2.0
    """Epochs in which the learning rate rises to its highest value; of a run by minutes it takes
    15% at most."""
    warmup_steps: int | None = None
    """The same in optimizer steps; takes the place of warmup_epochs."""
    start_factor: float = 0.001
    """Part of the highest learning rate at which the warm-up starts (paper's code: 5e-7 / 5e-4)."""
    end_factor: float = 0.01
    """Part of the highest learning rate where cosine and poly end (paper's code: 5e-6 / 5e-4)."""
    power: float = 1.0
    """Of poly; 1 falls along a straight line."""
    milestones: tuple[float, ...] = (8 / 12, 11 / 12)
    """Parts of the run after which multistep drops: 8 and 11 of 12 epochs."""
    drop: float = 0.1
    """Factor of each drop."""
    early_stop: int | None = None
    """Stop after this many epochs without a better validation score; None never stops early."""

    def __post_init__(self) -> None:
        one_of("schedule: kind", self.kind, ("cosine", "poly", "multistep"))
        object.__setattr__(self, "milestones", tuple(float(part) for part in self.milestones))
        at_least(
            "schedule",
            self,
            epochs=1,
            passes=1,
            steps=1,
            warmup_epochs=0,
            warmup_steps=0,
            early_stop=1,
        )
        for name in ("start_factor", "end_factor"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"schedule: {name} is {getattr(self, name)}; it must lie in 0..1")
        if not self.power > 0 or not 0 < self.drop <= 1:
            raise ConfigError(
                f"schedule: power is {self.power} and drop {self.drop}; power must be > 0 and "
                "drop lie in (0, 1]"
            )
        if self.minutes is not None and not self.minutes > 0:
            raise ConfigError(f"schedule: minutes is {self.minutes}; it must be > 0, or none")
        if self.minutes is not None and self.steps is not None:
            raise ConfigError("schedule: steps and minutes both say how long; give one of them")
        if any(not 0 < part < 1 for part in self.milestones):
            raise ConfigError(
                f"schedule: milestones is {self.milestones}; give parts of the run, in (0, 1)"
            )

    def freed(self, named: Collection[str]) -> "ScheduleConfig":
        """Without a length that the named one takes the place of.

        Args:
            named: those of "epochs", "steps" and "minutes" that a user gives.

        Raises:
            ConfigError: several.
        """
        lengths = [name for name in ("epochs", "steps", "minutes") if name in named]
        if len(lengths) > 1:
            raise ConfigError(f"{' and '.join(lengths)} all say how long; give one of them")
        return replace(self, steps=None, minutes=None) if lengths else self


@dataclass(frozen=True, kw_only=True)
class RuntimeConfig:
    """Where and how it runs. Several processes are started by `torchrun`, not by a setting."""

    out: Annotated[Path, arg(aliases=("--out",))] = Path("runs/train")
    """Folder of the run. An existing one is kept: the next run goes to train-2, train-3, …"""
    resume: Annotated[Path | None, arg(aliases=("--resume",))] = None
    """Go on with the run in this folder, with the settings of its config.yaml; a longer run, a
    moved data path, workers, threads and device may be named beside it."""
    device: Annotated[Literal["auto", "cpu", "cuda"], arg(aliases=("--device",))] = "auto"
    """"auto" takes the GPU where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    """"bf16" computes in bfloat16 where that is safe and keeps weights in float32; "auto" takes it
    where the processor or GPU multiplies in it."""
    batch_size: Annotated[int | Literal["auto"], arg(aliases=("--batch-size",))] = 32
    """Images per process and forward pass; "auto" takes what fits into memory."""
    accumulate: int = 1
    """Forward passes per optimizer step."""
    seed: int = 0
    """Decides weights, order and augmentation."""
    threads: int | None = None
    """Threads PyTorch computes with on a CPU; None leaves it as it is."""
    ema: float | None = None
    """Decay of an average of the weights, which is then what is validated and kept; the paper
    found no gain for its recipe."""
    compile: bool = False
    """Compile the network first; pays off in long runs."""
    logger: Annotated[
        tuple[Literal["tensorboard", "csv", "wandb", "mlflow"], ...], arg(aliases=("--logger",))
    ] = ("tensorboard",)
    """Where numbers go by step, with pictures, beside results.csv; wandb and mlflow are extras:
    pip install 'swinkit[wandb]'."""
    preview: bool = True
    """Draw a training batch, the confusion matrix and the worst mistakes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "out", Path(self.out))
        if self.resume is not None:
            object.__setattr__(self, "resume", Path(self.resume))
        one_of("device", self.device, ("auto", "cpu", "cuda"))
        one_of("precision", self.precision, ("auto", "fp32", "bf16"))
        named = (self.logger,) if isinstance(self.logger, str) else tuple(self.logger)
        object.__setattr__(self, "logger", named)
        for name in named:
            one_of("logger", name, ("tensorboard", "csv", "wandb", "mlflow"))
        at_least("runtime", self, accumulate=1, seed=0, threads=1)
        object.__setattr__(self, "out", expand_user(self.out))
        if self.resume is not None:
            object.__setattr__(self, "resume", expand_user(self.resume))
        if not self.out.name:
            raise ConfigError(f"runtime: out is {self.out}; name the folder that the run makes")
        if self.batch_size != "auto" and (
            not isinstance(self.batch_size, int) or self.batch_size < 1
        ):
            raise ConfigError(f'runtime: batch_size is {self.batch_size!r}; use >= 1 or "auto"')
        if self.ema is not None and not 0 < self.ema < 1:
            raise ConfigError(f"runtime: ema is {self.ema}; use a decay in (0, 1) or none")


@dataclass(frozen=True, kw_only=True)
class TrainConfig(PlainConfig):
    """Settings of a run; a task's own class adds augmentation, architecture and the like.

    >>> config = swinkit.load_recipe("fine_tune", "photos")
    >>> config.to_dict()["optimizer"]["lr"]
    0.0003
    """

    data: DataConfig
    """The images."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The network."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How weights change."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """How long and how fast."""
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    """Where it runs."""
    task: str
    """What is learned: what the recipe or the model's name says, else what the data looks like."""
    class_weights: Literal["none", "balanced"] = "none"
    """"balanced" lets every class count the same, however few images or pixels it has; not for
    detectors."""
    train_on: Literal["train", "train+val"] = "train"
    """"train+val" learns from the validation images too; the last epoch is then the one kept."""

    def __post_init__(self) -> None:
        one_of("train_on", self.train_on, ("train", "train+val"))
        one_of("class_weights", self.class_weights, ("none", "balanced"))
        finite(self)

    def changed(self: OwnConfig, settings: Mapping[str, Any]) -> OwnConfig:
        """With other settings, by their names.

        Args:
            settings: such as {"schedule.epochs": 3, "optimizer.kind": "muon"}.

        Raises:
            ConfigError: an unknown name, or a value that cannot be.

        >>> config = swinkit.load_recipe("fine_tune", "photos")
        >>> config.changed({"optimizer.lr": 1e-3}).optimizer.lr
        0.001
        """
        values = self.to_dict()
        for name, value in settings.items():
            *sections, key = name.split(".")
            part = values
            for section in sections:
                part = part.setdefault(section, {})
                if not isinstance(part, dict):
                    raise ConfigError(f"unknown setting {name}: {section} is a single value")
            part[key] = to_plain(value)
        return self.from_dict(values)

    def save(self, path: str | Path) -> None:
        """Write as YAML. Raises SwinkitError where the system refuses."""
        write_yaml(self.to_dict(), Path(path))
