"""Mixing whole batches, and soft targets. B batch, C channels, H W map, K classes."""

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

from swinkit.classification.train_config import AugmentationConfig
from swinkit.data.loading import fixed_random
from swinkit.errors import ConfigError


class MixupCutmix:
    """Mixup (1710.09412) or CutMix (1905.04899) for each batch, with label smoothing.

    Image b is mixed with image b - 1 of the batch (with the last one for b = 0), so batches must
    be shuffled. Targets: each label smoothed, y = (1 - s) * onehot + s / K, then mixed as the
    images are: lam * y[b] + (1 - lam) * y[b - 1], with lam the image's remaining part.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        mixup_alpha: float = 0.8,
        cutmix_alpha: float = 1.0,
        probability: float = 1.0,
        switch_probability: float = 0.5,
        label_smoothing: float = 0.1,
    ) -> None:
        if num_classes < 1:
            raise ConfigError(f"num_classes is {num_classes}; it must be >= 1")
        self.num_classes = num_classes
        self.probability = probability
        self.switch_probability = switch_probability
        self.label_smoothing = label_smoothing
        self.mixup = v2.MixUp(alpha=mixup_alpha) if mixup_alpha > 0 else None
        self.cutmix = v2.CutMix(alpha=cutmix_alpha) if cutmix_alpha > 0 else None

    @classmethod
    def from_config(cls, config: AugmentationConfig, num_classes: int) -> "MixupCutmix":
        """With the settings of a training run; mixes nothing where both alphas are 0."""
        return cls(
            num_classes,
            mixup_alpha=config.mixup_alpha,
            cutmix_alpha=config.cutmix_alpha,
            probability=config.mix_probability,
            switch_probability=config.mix_switch_probability,
            label_smoothing=config.label_smoothing,
        )

    def __call__(
        self, images: Tensor, labels: Tensor, *, seed: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mix one batch.

        Args:
            images: (B, C, H, W) floating point; not changed.
            labels: (B,) class indices.
            seed: makes the draw depend on it alone and leaves PyTorch's generator untouched;
                None draws from that generator.

        Returns:
            (B, C, H, W) images and (B, K) float32 targets whose rows sum to 1.
        """
        targets = soft_targets(labels, self.num_classes, self.label_smoothing)
        if seed is None:
            return self._mix(images, targets)
        with fixed_random(seed):
            return self._mix(images, targets)

    def _mix(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        apply, switch = torch.rand(2).tolist()
        use_cutmix = self.cutmix is not None and (
            self.mixup is None or switch < self.switch_probability
        )
        mix = self.cutmix if use_cutmix else self.mixup
        if mix is None or apply >= self.probability:
            return images, targets
        return mix(images, targets)


def soft_targets(labels: Tensor, num_classes: int, smoothing: float = 0.0) -> Tensor:
    """(B,) class indices as (B, K) float32: (1 - s) on the label plus s / K everywhere."""
    hard = functional.one_hot(labels.long(), num_classes).float()
    return hard * (1 - smoothing) + smoothing / num_classes
