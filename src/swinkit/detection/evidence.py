"""The boxes that a detector finds, as answers to be explained. B batch, N boxes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from swinkit.detection.model import SwinDetector
from swinkit.task.evidence import Answer

SMALLEST = 1e-12  # a probability whose logarithm is still a number


def box_answers(model: SwinDetector, images: Tensor, maps: Sequence[Tensor]) -> list[Answer]:
    """The boxes found, best first: how probable their class is in that place."""

    def answer(place: int) -> Answer:
        box, label = found.boxes_xyxy[place], int(found.labels[place])
        at = " ".join(f"{value:.0f}" for value in box.tolist())
        prepared = model.class_probability(features, box, label, size_hw)
        return Answer(
            name=f"{model.class_names[label]} {float(found.scores[place]):.2f} at {at}",
            score=lambda images, maps: prepared(model.features_of(maps)).clamp(min=SMALLEST).log(),
        )

    size_hw = (images.shape[2], images.shape[3])
    with torch.no_grad():
        features = model.features_of(maps)
        found = model.best(features, [size_hw])[0]
        return [answer(place) for place in range(min(len(found.scores), 20))]
