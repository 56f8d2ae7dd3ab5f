"""What travels with a model's weights: class names, preprocessing, metrics, provenance."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from swinkit.images.fitting import KIND as FIT
from swinkit.images.fitting import Fit
from swinkit.images.preprocessing import Preprocessing
from swinkit.settings import from_plain, to_plain


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """Facts about a model that its weights alone do not tell.

    Attributes:
        class_names: one per logit, or None where unknown.
        preprocessing: how an image must be prepared: `Preprocessing` for a classifier, whose
            input has one size; `Fit` for detectors and segmenters.
        metrics: measured numbers, such as {"val_top1": 0.93}.
        provenance: where the weights come from, such as source file and its hash.
    """

    class_names: tuple[str, ...] | None = None
    preprocessing: Preprocessing | Fit = field(default_factory=Preprocessing)
    metrics: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {**to_plain(self), "preprocessing": self.preprocessing.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelInfo":
        """Inverse of `to_dict`, also after a trip through JSON."""
        prepared = values.get("preprocessing", {})
        kind = Fit if prepared.get("kind") == FIT else Preprocessing
        return from_plain(cls, {**values, "preprocessing": kind.from_dict(prepared)})
