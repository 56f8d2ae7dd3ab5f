"""An exponential moving average of the weights, as a Lightning callback."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from swinkit.training.module import Training


class WeightAverage(Callback):
    """Keeps `average <- d * average + (1 - d) * weights` after each step, and validates it.

    d = min(decay, (1 + n) / (10 + n)) at update n, so that a short run is not held back by its
    random start. Lightning's own callback copies through `.data`, which hides the change from
    caches that watch a parameter's version; this one does not.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.average: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the weights, or go on from what a resumed run had."""
        weights = _weights(pl_module)
        self.average = {
            name: self.average.get(name, weight.detach()).to(weight.device, copy=True)
            for name, weight in weights.items()
        }

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Follow the weights, once per optimizer step."""
        if trainer.global_step <= self.updates:
            return
        self.updates = trainer.global_step
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        weights = _weights(pl_module)
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.average.values()),
                [weights[name].detach() for name in self.average],
                1 - decay,
            )

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate the average."""
        self._swap(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Train on with the weights themselves."""
        self._swap(pl_module)

    @contextlib.contextmanager
    def applied(self, module: LightningModule) -> Iterator[None]:
        """The average in the network's place."""
        self._swap(module)
        try:
            yield
        finally:
            self._swap(module)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"updates": self.updates, "average": self.average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.updates = state_dict["updates"]
        self.average = dict(state_dict["average"])

    def _swap(self, module: LightningModule) -> None:
        weights = _weights(module)
        with torch.no_grad():
            for name, average in self.average.items():
                kept = weights[name].detach().clone()
                weights[name].copy_(average)
                average.copy_(kept)


def _weights(module: LightningModule) -> dict[str, Tensor]:
    assert isinstance(module, Training)
    return module.averaged_tensors()
