"""Losses of semantic segmentation on logits and a map of labels.

Legend: B batch, K classes, H W map, N labeled pixels of the batch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.errors import ConfigError, DataError
from swinkit.segmentation.config import SegmentationLossConfig


def segmentation_losses(
    logits: Tensor, labels: Tensor, config: SegmentationLossConfig
) -> dict[str, Tensor]:
    """Each loss that `config` switches on, times its weight; their sum is the total.

    Args:
        logits: `B K H W`.
        labels: `B H W` int64, classes 0..K-1 or `config.ignore_index`.

    Raises:
        DataError: a label outside the classes (checked on the CPU; a GPU's own check stops there).
        ConfigError: class weights of another number.
    """
    check_labels(labels, logits.shape[1], config.ignore_index)
    logits = logits.float()
    losses = {}
    if config.cross_entropy > 0:
        losses["cross_entropy"] = config.cross_entropy * cross_entropy(logits, labels, config)
    if config.dice > 0:
        pixels = labeled_pixels(logits, labels, config.ignore_index)
        losses["dice"] = config.dice * dice(*pixels)
    if config.lovasz > 0:
        n = config.lovasz_stride
        pixels = labeled_pixels(logits[..., ::n, ::n], labels[..., ::n, ::n], config.ignore_index)
        losses["lovasz"] = config.lovasz * lovasz_softmax(*pixels)
    return losses


def cross_entropy(logits: Tensor, labels: Tensor, config: SegmentationLossConfig) -> Tensor:
    """Mean of -w log p over pixels, what `config.average` counts as one; 0 without labels."""
    classes = logits.shape[1]
    weights = None
    if config.class_weights is not None:
        if len(config.class_weights) != classes:
            raise ConfigError(
                f"{len(config.class_weights)} class_weights for a model of {classes} classes; "
                "give one per class"
            )
        weights = logits.new_tensor(config.class_weights)
    losses = F.cross_entropy(
        logits, labels, weight=weights, ignore_index=config.ignore_index, reduction="none"
    )
    counted = (labels != config.ignore_index).to(losses.dtype)
    if weights is not None:
        counted = counted * weights[labels.clamp(0, classes - 1)]
    if config.ohem_threshold is not None:
        hard = hard_pixels(logits, labels, config)
        return (losses * hard).sum() / (counted * hard).sum().clamp(min=1e-12)
    if config.average == "all":
        return losses.mean()
    return losses.sum() / counted.sum().clamp(min=1e-12)


@torch.no_grad()
def hard_pixels(logits: Tensor, labels: Tensor, config: SegmentationLossConfig) -> Tensor:
    """`B H W` bool: labeled pixels whose true class has a probability below the threshold, or
    the `ohem_least` hardest where these are fewer (1604.03540)."""
    assert config.ohem_threshold is not None
    labeled = labels != config.ignore_index
    index = labels.clamp(0, logits.shape[1] - 1)[:, None]
    truth = logits.softmax(1).gather(1, index)[:, 0]  # B H W
    if not labeled.any():
        return labeled
    values = truth[labeled]  # N
    least = min(config.ohem_least, values.numel())
    bound = values.kthvalue(least).values
    below = truth < config.ohem_threshold
    return labeled & (below | (truth <= bound))


def dice(probabilities: Tensor, truth: Tensor) -> Tensor:
    """1 - mean over classes of (2 |P T| + 1) / (|P| + |T| + 1), over `N K` and `N` of a batch.

    One is added to both so that a class that is neither there nor predicted counts as right.
    Source: 1606.04797, equation 3, with plain instead of squared sums.
    """
    classes = probabilities.shape[1]
    index = truth[:, None]
    right = probabilities.gather(1, index)[:, 0]  # N
    shared = torch.zeros(classes, device=truth.device).index_add(0, truth, right)
    area = torch.bincount(truth, minlength=classes)
    return 1 - ((2 * shared + 1) / (probabilities.sum(0) + area + 1)).mean()


def lovasz_softmax(probabilities: Tensor, truth: Tensor) -> Tensor:
    """Mean of the Lovász extension of 1 - IoU over the classes that are there (1705.08790, eq. 11).

    Args:
        probabilities: `N K`. truth: `N`.
    """
    losses = []
    for number in truth.unique().tolist():
        belongs = (truth == number).to(probabilities.dtype)  # N
        errors = (belongs - probabilities[:, number]).abs()
        errors, order = errors.sort(descending=True)
        losses.append(errors @ _lovasz_gradient(belongs[order]))
    return torch.stack(losses).mean() if losses else probabilities.sum()


def _lovasz_gradient(belongs: Tensor) -> Tensor:
    """What one more wrong pixel adds to 1 - IoU, errors sorted downwards (algorithm 1)."""
    total = belongs.sum()
    intersection = total - belongs.cumsum(0)
    union = total + (1 - belongs).cumsum(0)
    jaccard = 1 - intersection / union
    return torch.diff(jaccard, prepend=jaccard.new_zeros(1))


def labeled_pixels(logits: Tensor, labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """`B K H W` and `B H W` -> probabilities `N K` and truth `N`."""
    labeled = labels != ignore_index
    return logits.softmax(1).permute(0, 2, 3, 1)[labeled], labels[labeled]


def check_labels(labels: Tensor, classes: int, ignore_index: int) -> None:
    """Refuse labels that are no class.

    Raises:
        DataError: with the first such value. On a GPU nothing is checked, as that would wait.
    """
    if labels.device.type != "cpu":
        return
    wrong = labels[((labels < 0) | (labels >= classes)) & (labels != ignore_index)]
    if wrong.numel():
        raise DataError(
            f"label {int(wrong[0])} in a mask of {classes} classes (0 to {classes - 1}, "
            f"{ignore_index} ignored); correct the masks or the class list"
        )
