"""What explanations ask of a task: an answer about an image, with a score to differentiate.

Legend: B batch, C channels, H W pixels, h w tokens of a map.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer:
    """One thing that a model says of an image.

    Attributes:
        name: such as "cat 0.93" or "car 0.88 at 10 20 50 60".
        score: from `B C H W` images and the backbone's maps `B C h w` of each stage to the (B,)
            logarithm of the answer's probability, differentiable.
    """

    name: str
    score: Callable[[Tensor, Sequence[Tensor]], Tensor]
