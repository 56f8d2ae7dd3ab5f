"""What the Hybrid Task Cascade (1901.07518) adds: mask features that flow from stage to stage.

Interleaving (masks trained on boxes that the stage has already moved) and the semantic branch are
switches of the cascade itself; see `cascade.py` and `semantic.py`.

Legend: R RoIs, C channels, S side of pooled features, K classes.
"""

from collections.abc import Sequence

from torch import Tensor

from swinkit.detection.network.mask import MaskHead


def flow_features(heads: Sequence[MaskHead], pooled: Tensor) -> list[Tensor]:
    """Features of each stage's head on the same pooled `R C S S` RoIs, one after the other.

    Every head adds what the head before it ended with; heads without `flow` stand alone.
    """
    found: list[Tensor] = []
    for head in heads:
        found.append(head.features(pooled, found[-1] if found else None))
    return found
