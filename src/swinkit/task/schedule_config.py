"""How long a run goes on and how its learning rate goes. Importing this needs no PyTorch."""

from dataclasses import dataclass
from typing import Literal

from swinkit.data.config import one_of
from swinkit.errors import ConfigError
from swinkit.settings import at_least


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """How long, and how the learning rate goes: linear warm-up, then a decay."""

    kind: Literal["cosine", "poly", "multistep"] = "cosine"
    """Half a cosine; or (1 - part done) ** power; or drops at the milestones."""
    epochs: int = 30
    """Length of the run, unless steps or minutes say it."""
    passes: int = 1
    """Passes over the training images in an epoch; each epoch ends with a validation."""
    steps: int | None = None
    """Length of the run in optimizer steps, in place of epochs."""
    minutes: float | None = None
    """Length of the run by the clock, in place of epochs. The decay follows the clock and is
    complete at the end; the last validation and the report come on top."""
    warmup_epochs: float = 2.0
    """Epochs in which the learning rate rises to its highest value."""
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
        if self.power <= 0 or not 0 < self.drop <= 1:
            raise ConfigError(
                f"schedule: power is {self.power} and drop {self.drop}; power must be > 0 and "
                "drop lie in (0, 1]"
            )
        if self.minutes is not None and self.minutes <= 0:
            raise ConfigError(f"schedule: minutes is {self.minutes}; it must be > 0, or none")
        if self.minutes is not None and self.steps is not None:
            raise ConfigError("schedule: steps and minutes both say how long; give one of them")
        if any(not 0 < part < 1 for part in self.milestones):
            raise ConfigError(
                f"schedule: milestones is {self.milestones}; give parts of the run, in (0, 1)"
            )
