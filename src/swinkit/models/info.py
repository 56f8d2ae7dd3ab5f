"""What travels with a model's weights: class names, preprocessing, metrics, provenance."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from swinkit.images.preprocessing import Preprocessing


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """Facts about a model that its weights alone do not tell.

    Attributes:
        class_names: one per logit, or None where unknown.
        preprocessing: how an image must be prepared.
        metrics: measured numbers, such as {"val_top1": 0.93}.
        provenance: where the weights come from, such as source file and its hash.
    """

    class_names: tuple[str, ...] | None = None
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    metrics: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        values = asdict(self)
        values["preprocessing"] = self.preprocessing.to_dict()
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelInfo":
        """Inverse of `to_dict`, also after a trip through JSON."""
        names = values.get("class_names")
        return cls(
            class_names=None if names is None else tuple(names),
            preprocessing=Preprocessing.from_dict(values.get("preprocessing", {})),
            metrics=dict(values.get("metrics", {})),
            provenance=dict(values.get("provenance", {})),
        )
