"""The segments of an image, as answers to be explained. B batch, K classes, H W pixels."""

from collections.abc import Sequence

import torch
from torch import Tensor

from swinkit.segmentation.model import SwinSegmenter
from swinkit.segmentation.network.layers import resize
from swinkit.task.evidence import Answer


def segment_answers(model: SwinSegmenter, images: Tensor, maps: Sequence[Tensor]) -> list[Answer]:
    """The classes that are there, the largest first, each with the pixels that it has here."""

    def log_probabilities(images: Tensor, maps: Sequence[Tensor]) -> Tensor:
        logits = resize(model.decode_maps(images, maps), (images.shape[2], images.shape[3]))
        return logits.log_softmax(1)  # B K H W

    def answer(label: int) -> Answer:
        region = labels == label
        return Answer(
            name=f"segment {model.class_names[label]}, {100 * float(region.float().mean()):.0f} %",
            score=lambda images, maps: log_probabilities(images, maps)[:, label][:, region].mean(1),
        )

    with torch.no_grad():
        labels = log_probabilities(images, maps)[0].argmax(0)  # H W
    sizes = torch.bincount(labels.flatten(), minlength=model.num_classes)
    return [answer(label) for label in sizes.argsort(descending=True).tolist() if sizes[label] > 0]
