"""Moving a detector's or segmenter's heads to another number of classes.

Rows of classes cannot be carried over; everything that does not depend on the classes stays.
"""

import re

from swinkit.checkpoints.keymap import Tensors
from swinkit.checkpoints.report import LoadReport
from swinkit.errors import CheckpointError

_DETECTION = r"box_heads\.\d+\.scores|mask_heads\.\d+\.logits|retina\.scores"
_CLASS_BOXES = r"box_heads\.\d+\.deltas"
_SEGMENTATION = r"head\.logits|auxiliary\.logits"


def move_head_classes(
    tensors: Tensors,
    task: str,
    old: int,
    num_classes: int | None,
    *,
    class_agnostic: bool,
    report: LoadReport,
) -> int:
    """Drop what belongs to the old classes, so that the model's fresh values stay.

    Args:
        tensors: neck and heads in native names; changed in place.
        class_agnostic: one box for all classes: its regressors stay.

    Returns:
        The number of classes of the model.

    Raises:
        CheckpointError: fewer than one class.
    """
    if num_classes is None or num_classes == old:
        return old
    if num_classes < 1:
        raise CheckpointError(f"num_classes is {num_classes}; it must be at least 1")
    expression = _SEGMENTATION if task == "segmentation" else _DETECTION
    if task == "detection" and not class_agnostic:
        expression += "|" + _CLASS_BOXES
    dropped = [name for name in tensors if re.fullmatch(rf"(?:{expression})\.(weight|bias)", name)]
    for name in dropped:
        del tensors[name]
    report.initialised += dropped
    kept = "; box regressors serve all classes and stay" if class_agnostic else ""
    report.changed.append(
        f"heads: {old} classes to {num_classes}, their rows freshly initialised{kept}"
    )
    return num_classes
