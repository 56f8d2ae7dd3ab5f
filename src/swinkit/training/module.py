"""What one training and one validation step are. B batch, C channels, H W map, K classes."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics.classification import MulticlassAccuracy

from swinkit.data.classification.mixing import MixupCutmix
from swinkit.data.seeding import derive_seed
from swinkit.errors import TrainingError
from swinkit.evaluation.mean_loss import MeanLoss
from swinkit.models.classifier import SwinClassifier
from swinkit.training.config import TrainConfig
from swinkit.training.parameter_groups import frozen_modules, parameter_groups
from swinkit.training.schedule import Schedule

CHECK_EVERY = 50  # batches between looks at the loss on a GPU, where each look waits for it


class ClassifierTraining(LightningModule):
    """Cross-entropy with soft targets, AdamW and a warm-up and cosine schedule.

    Loss of a batch: -1/B sum_b sum_k w_k y_bk log p_bk, with class weights w of mean 1. Dividing by
    B, not by the sum of weights, makes the mean over processes and over accumulated passes equal
    the loss of their whole batch.

    All that chance decides in a step depends on (seed, epoch, batch, process) alone, so a resumed
    run repeats an uninterrupted one.

    Args:
        model: the network; frozen stages already frozen.
        config: of the run.
        class_weights: (K,) or None.
        steps_per_epoch: optimiser steps in each epoch.
        images_per_step: images per optimiser step over all processes.
        val_images: images in the validation split; what a sampler adds beyond is not counted.
    """

    def __init__(
        self,
        model: SwinClassifier,
        config: TrainConfig,
        *,
        class_weights: Tensor | None,
        steps_per_epoch: int,
        images_per_step: int,
        val_images: int,
    ) -> None:
        super().__init__()
        self.class_weights: Tensor | None
        self.model = model
        self.config = config
        self.schedule = Schedule.from_config(config.schedule, steps_per_epoch)
        self.peak_lr = config.optimiser.peak_lr(images_per_step)
        self.val_images = val_images
        self.register_buffer("class_weights", class_weights, persistent=False)
        classes = model.head.fc.out_features
        self.mixing = MixupCutmix.from_config(config.augmentation, classes)
        self.train_loss = MeanLoss()
        self.val_loss = MeanLoss()
        self.val_top1 = MulticlassAccuracy(classes, average="micro")
        self.val_top5 = MulticlassAccuracy(classes, average="micro", top_k=min(5, classes))
        self.val_metrics: dict[str, float] = {}

    def configure_optimizers(self) -> Any:
        """AdamW over the groups, its schedule advancing with each step."""
        settings = self.config.optimiser
        groups = parameter_groups(self.model, self.model.config.depths, settings, self.peak_lr)
        for group in groups:
            del group["names"]
        optimiser = torch.optim.AdamW(groups, lr=self.peak_lr, betas=settings.betas, fused=True)
        scheduler = LambdaLR(optimiser, self.schedule)
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by norm. Lightning refuses to beside a fused optimiser in mixed precision, which
        matters to scaled float16 gradients only; bfloat16 has none."""
        if gradient_clip_val:
            nn.utils.clip_grad_norm_(self.model.parameters(), gradient_clip_val)

    def on_train_epoch_start(self) -> None:
        """Frozen stages stay as in evaluation: no dropout and no stochastic depth in them."""
        self.model.train()
        for module in frozen_modules(self.model, self.config.model.frozen_stages):
            module.eval()
        self.train_loss.reset()

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> dict[str, Any]:
        """Loss of one forward pass.

        Args:
            batch: images (B, C, H, W), labels (B,), indices (B,).
            batch_idx: number of the batch in its epoch.

        Raises:
            TrainingError: the loss is not finite.
        """
        images, labels, _ = batch
        seed = derive_seed(
            self.config.runtime.seed, self.current_epoch, batch_idx, self.global_rank
        )
        torch.manual_seed(seed)
        images, targets = self.mixing(images, labels, seed=seed)
        loss = functional.cross_entropy(self.model(images), targets, weight=self.class_weights)
        if loss.device.type == "cpu" or batch_idx % CHECK_EVERY == 0:
            self.check_finite(float(loss.detach()))
        self.train_loss.update(loss.detach(), images=len(labels))
        outputs: dict[str, Any] = {"loss": loss}
        if batch_idx == 0:
            outputs |= {"images": images, "targets": targets}
        return outputs

    def check_finite(self, loss: float) -> None:
        """Raises TrainingError where the loss is NaN or infinite."""
        if loss != loss or abs(loss) == float("inf"):
            raise TrainingError(
                f"the training loss is {loss} in epoch {self.current_epoch + 1}, step "
                f"{self.global_step}; lower optimiser.lr (now {self.peak_lr:.3g}), lengthen "
                "schedule.warmup_epochs or set runtime.precision to 32, and check that starting "
                "weights are finite"
            )

    def on_validation_epoch_start(self) -> None:
        """Start counting anew."""
        for metric in (self.val_loss, self.val_top1, self.val_top5):
            metric.reset()

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        """Count one batch; images that a sampler repeats to even out processes are left out."""
        images, labels, _ = batch
        loader = self.trainer.val_dataloaders
        assert loader is not None
        size = loader.batch_size
        ordinal = batch_idx * size + torch.arange(len(labels), device=labels.device)
        real = ordinal * self.trainer.world_size + self.global_rank < self.val_images
        if not real.any():
            return
        labels, logits = labels[real], self.model(images)[real].float()
        self.val_loss.update(functional.cross_entropy(logits, labels), images=len(labels))
        self.val_top1.update(logits, labels)
        self.val_top5.update(logits, labels)

    def on_validation_epoch_end(self) -> None:
        """Keep what the whole validation split gave, over all processes."""
        self.val_metrics = {
            "val_loss": float(self.val_loss.compute()),
            "val_top1": float(self.val_top1.compute()),
            "val_top5": float(self.val_top5.compute()),
        }

    def parameters_by_name(self) -> dict[str, nn.Parameter]:
        """The network's parameters that learn."""
        named = self.model.named_parameters()
        return {name: parameter for name, parameter in named if parameter.requires_grad}
