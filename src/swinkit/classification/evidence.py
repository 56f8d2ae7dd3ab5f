"""The classes that a classifier sees, as answers to be explained. B batch, K classes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from swinkit.classification.model import SwinClassifier
from swinkit.task.evidence import Answer


def class_answers(model: SwinClassifier, images: Tensor, maps: Sequence[Tensor]) -> list[Answer]:
    """All classes, the most probable first."""

    def log_probabilities(maps: Sequence[Tensor]) -> Tensor:
        return model.head(maps[-1].flatten(2).transpose(1, 2)).log_softmax(-1)  # B K

    def answer(label: int) -> Answer:
        return Answer(
            name=f"{model.class_names[label]} {float(found[label]):.2f}",
            score=lambda images, maps: log_probabilities(maps)[:, label],
        )

    with torch.no_grad():
        found = log_probabilities(maps)[0].exp()
    return [answer(label) for label in found.argsort(descending=True).tolist()]
