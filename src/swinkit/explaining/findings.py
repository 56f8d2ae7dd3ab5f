"""What was found out about one image inside a model.

Legend: H W pixels of the input, h w tokens of a map, nW windows, N heads, T tokens per window.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from swinkit.explaining.evidence import Evidence
from swinkit.explaining.forward import Step
from swinkit.explaining.lens import LensRow
from swinkit.explaining.scene import Scene


@dataclass(frozen=True, eq=False, kw_only=True)
class Field:
    """What the chosen token sees after a block.

    Attributes:
        theory, measured: (H, W) bool, by the windows and by the gradient.
        without_shift: (H, W) bool, by the windows if none was shifted.
        gradient: (H, W) its size.
    """

    stage: int
    block: int
    theory: Tensor
    measured: Tensor
    without_shift: Tensor
    gradient: Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Findings:
    """What happened to one image inside a model; all tensors are on the CPU.

    Attributes:
        scene: the model, the prepared image, the chosen pixel.
        stage, block, head: that the page opens with, from 0.
        steps: of the forward pass.
        scores, attention: by names such as "stages.0.blocks.1", `nW N T T`: before the mask, and
            after softmax.
        biases: by the same names, (N, T, T).
        stitched: by the same names, (N, h, w): where the chosen patch looks.
        reach: by the same names, (N,) pixels.
        rollout: (h, w) of the first map, seeded at the chosen patch of the last.
        evidence: for the model's best answer, or None where it has none.
        lens: the best answers read after each block; empty where the head reads several maps.
        fields: receptive fields of the chosen patch, block by block.
    """

    scene: Scene
    stage: int
    block: int
    head: int
    steps: list[Step]
    scores: Mapping[str, Tensor]
    attention: Mapping[str, Tensor]
    biases: Mapping[str, Tensor]
    stitched: Mapping[str, Tensor]
    reach: Mapping[str, Tensor]
    rollout: Tensor
    evidence: Evidence | None
    lens: list[LensRow]
    fields: list[Field]
