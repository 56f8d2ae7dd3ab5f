"""The network of a run, and its training and validation steps, whatever the task. B batch."""

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from swinkit import __version__
from swinkit.checkpoints.load import load
from swinkit.data.loading import derive_seed
from swinkit.errors import TrainingError
from swinkit.task.evaluating import MeanLoss
from swinkit.task.model import TaskModel
from swinkit.task.training import Batch, TrainingTask
from swinkit.training.not_finite import first_layer_not_finite, first_not_finite
from swinkit.training.optimizer import build_optimizer, freeze, frozen_modules, parameter_groups
from swinkit.training.schedule import Schedule

logger = logging.getLogger(__name__)

CHECK_EVERY = 50  # batches between checks of the loss on a GPU, where each check waits for it


def build_model(task: TrainingTask[Any]) -> TaskModel[Any]:
    """The network with its starting weights, which depend on the seed alone; stages frozen."""
    config = task.config
    torch.manual_seed(config.runtime.seed)
    model: TaskModel[Any] = task.build_model(
        partial(load, report=lambda report: logger.info("%s", report))
    )
    provenance = {
        **model.info.provenance,
        "trained_by": f"swinkit {__version__}",
        "started_from": config.model.weights or "random weights",
        "data": str(config.data.path),
    }
    prepared = task.normalized(model.preprocessing)
    model.info = replace(model.info, preprocessing=prepared, provenance=provenance, metrics={})
    freeze(model, config.model.frozen_stages)
    return model


class TrainingModule(LightningModule):
    """An optimizer and a schedule over the steps of a task.

    All that chance decides in a step depends on (seed, epoch, batch, process) alone, so a resumed
    run repeats an uninterrupted one.

    Args:
        model: the network; frozen stages already frozen.
        task: what its loss and validation are; has the settings of the run.
        schedule: of the learning rate.
        images_per_step: images per optimizer step over all processes.
    """

    def __init__(
        self,
        model: TaskModel[Any],
        task: TrainingTask[Any],
        *,
        schedule: Schedule,
        images_per_step: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.config = task.config
        self.schedule = schedule
        self.peak_lr = task.config.optimizer.peak_lr(images_per_step)
        self.train_loss = MeanLoss()
        self.train_terms: dict[str, MeanLoss] = {}
        self.validation = task.validation(model)
        self.val_metrics: dict[str, float] = {}
        self.skipped = self._skipped_in_a_row = 0
        self.step_skipped = False
        self._culprit = self._last_culprit = ""  # the first layer of a step that is not finite
        self._loss_broke = False
        self._before: dict[str, Tensor] = {}  # the buffers that a step moves, before it

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW or Muon over the groups, its schedule advancing with each step."""
        settings = self.config.optimizer
        depths = self.model.backbone.config.depths
        groups = parameter_groups(self.model, depths, settings, self.peak_lr)
        for group in groups:
            del group["names"]
        optimizer = build_optimizer(
            groups, kind=settings.kind, lr=self.peak_lr, betas=settings.betas
        )

        # A plain function: of an object, LambdaLR would store the state.
        def factor(step: int) -> float:
            return self.schedule(step)

        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"},
        }

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by norm, and take a gradient that is not finite away where the task allows it.

        Lightning refuses to clip beside a fused optimizer in mixed precision, which matters to
        scaled float16 gradients only; bfloat16 has none. The norm is the same in all processes, so
        they skip together.
        """
        if not gradient_clip_val and not self.task.most_skipped:
            return
        weights = [weight for weight in self.model.parameters() if weight.grad is not None]
        norm = nn.utils.get_total_norm([cast(Tensor, weight.grad) for weight in weights])
        if not self.task.most_skipped or math.isfinite(float(norm)):
            nn.utils.clip_grads_with_norm_(weights, gradient_clip_val or math.inf, norm)
        if not self.task.most_skipped:
            return
        finite = math.isfinite(float(norm)) and first_not_finite(self._running()) is None
        # Each process has running statistics of its own, but all must skip together.
        if self.trainer.world_size > 1:
            finite = self.trainer.strategy.reduce_boolean_decision(finite)
        self.step_skipped = not finite
        if finite:
            self._skipped_in_a_row = 0
            self._culprit, self._loss_broke, self._before = "", False, {}
        else:
            self._skip()

    def _skip(self) -> None:
        """Undo the step: no gradients, and the running statistics as they were before it."""
        culprit = self._culprit or self._not_finite_part()
        self._last_culprit = culprit
        self._culprit, self._loss_broke = "", False
        self.model.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, value in self._running().items():
                value.copy_(self._before[name])
        self._before = {}
        self.skipped += 1
        self._skipped_in_a_row += 1
        if self._skipped_in_a_row > self.task.most_skipped:
            raise TrainingError(
                f"{self._skipped_in_a_row} steps in a row were not finite; {self._remedy()}; the "
                f"first that is not finite: {culprit}"
            )
        logger.warning(
            "epoch %d, step %d left out: it is not finite, first in %s (%d so far); the run goes "
            "on",
            self.current_epoch + 1,
            self.global_step,
            culprit,
            self.skipped,
        )

    def _not_finite_part(self) -> str:
        """Of weights, gradients and running statistics the first that is not finite.

        Where the loss is finite, the last layer's gradient is computed first.
        """
        named = list(self.model.named_parameters())
        gradients = {
            f"the gradient of {name}": weight.grad
            for name, weight in (named if self._loss_broke else reversed(named))
            if weight.grad is not None
        }
        found = first_not_finite(dict(named)) or first_not_finite(gradients)
        return found or first_not_finite(self._running()) or "the gradients' norm"

    def _running(self) -> dict[str, Tensor]:
        """The buffers that training moves: the running statistics of batch norms."""
        stored = self.model.state_dict(keep_vars=True)
        return {name: value for name, value in self.model.named_buffers() if name in stored}

    def check_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Raises TrainingError where tensors that would be kept are not finite."""
        name = first_not_finite(weights)
        if name is not None:
            raise TrainingError(
                f"after epoch {self.current_epoch + 1} {name} is not finite, so the epoch is not "
                f"kept; {self._remedy()}"
            )

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """The task knows what a batch is made of."""
        return self.task.to_device(batch, device)

    def on_train_start(self) -> None:
        """A resumed run that was made longer goes on with the learning rate of its new length."""
        if self.schedule.clock is None:
            scheduler = self.lr_schedulers()
            assert isinstance(scheduler, LambdaLR)
            factor = self.schedule(scheduler.last_epoch)
            for group, peak in zip(
                scheduler.optimizer.param_groups, scheduler.base_lrs, strict=True
            ):
                group["lr"] = peak * factor

    def on_train_epoch_start(self) -> None:
        """Frozen stages stay as in evaluation: no dropout and no stochastic depth in them."""
        self.model.train()
        for module in frozen_modules(self.model, self.config.model.frozen_stages):
            module.eval()
        for mean in (self.train_loss, *self.train_terms.values()):
            mean.reset()

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Loss of one forward pass.

        Raises:
            TrainingError: the loss is not finite, in a task that skips nothing.
        """
        seed = derive_seed(
            self.config.runtime.seed, self.current_epoch, batch_idx, self.global_rank
        )
        torch.manual_seed(seed)
        if self.task.most_skipped and not self._before:
            self._before = {name: value.clone() for name, value in self._running().items()}
        step = self.task.step(self.model, batch, seed)
        loss, images = step.loss, self.task.images_in(batch)
        checks = loss.device.type == "cpu" or batch_idx % CHECK_EVERY == 0
        finite = not (checks or self.task.most_skipped) or math.isfinite(float(loss.detach()))
        if not finite:
            self._loss_broke = True
            self._culprit = self._culprit or self._first_layer(batch, seed)
            if not self.task.most_skipped:
                self.check_finite(float(loss.detach()))
        if finite:
            self.train_loss.update(loss.detach(), images=images)
            self._count_terms(step.terms, images)
        outputs: dict[str, Any] = {"loss": loss}
        if batch_idx == 0:
            outputs["shown"] = step.shown
        return outputs

    def _count_terms(self, terms: dict[str, Tensor], images: int) -> None:
        for name, value in terms.items():
            if name not in self.train_terms:
                self.train_terms[name] = MeanLoss().to(value.device)
            self.train_terms[name].update(value.detach(), images=images)

    def train_means(self) -> dict[str, float]:
        """Means over the epoch's images, of all processes: the loss, and its terms if it has any.

        NaN where no step of the epoch was finite.
        """
        means = {"train_loss": self.train_loss, **self.train_terms}
        return {name: float(mean.compute()) for name, mean in means.items()}

    def check_finite(self, loss: float) -> None:
        """Raises TrainingError where the loss is NaN or infinite."""
        if not math.isfinite(loss):
            culprit = self._culprit or self._last_culprit
            raise TrainingError(
                f"the training loss is {loss} in epoch {self.current_epoch + 1}, step "
                f"{self.global_step}; {self._remedy()}"
                + (f"; the first that is not finite: {culprit}" if culprit else "")
            )

    def _first_layer(self, batch: Batch, seed: int) -> str:
        """The first layer whose output is not finite, found by repeating the forward pass.

        Only in a single process: batch norms of several wait for one another.
        """
        name = first_not_finite(dict(self.model.named_parameters())) or first_not_finite(
            self._before
        )
        if name is not None:
            return name
        if self.trainer.world_size > 1:
            return ""
        torch.manual_seed(seed)
        forward = partial(self.task.step, self.model, batch, seed)
        return first_layer_not_finite(self.model, forward)

    def _remedy(self) -> str:
        return (
            f"lower optimizer.lr (now {self.peak_lr:.3g}), lengthen schedule.warmup_epochs or set "
            "runtime.precision to fp32, and check that starting weights are finite"
        )

    def on_validation_epoch_start(self) -> None:
        """Start counting anew."""
        self.validation.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count one batch; images that a sampler repeats to even out processes are left out.

        In float32 whatever the run computes in, as `predict` and `evaluate` do by default.
        """
        loader = self.trainer.val_dataloaders
        assert loader is not None
        ordinal = batch_idx * loader.batch_size + torch.arange(self.task.images_in(batch))
        place = ordinal * self.trainer.world_size + self.global_rank
        real = place < len(self.task.splits.val)
        if real.any():
            with torch.autocast(self.device.type, enabled=False):
                self.validation.update(self.model, batch, real.to(self.device))

    def on_validation_epoch_end(self) -> None:
        """Keep what the whole validation split gave, over all processes."""
        self.val_metrics = self.validation.compute()
        # For the callbacks of users, such as Lightning's EarlyStopping; the same in all processes.
        self.log_dict(self.val_metrics, logger=False, rank_zero_only=False, batch_size=1)
