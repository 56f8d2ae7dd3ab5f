"""`swinkit complexity`: the cost of windows beside that of global attention, term by term."""

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swinkit.console import standard_output, table
from swinkit.errors import ConfigError
from swinkit.files import atomic_write, check_place
from swinkit.task.options import check_range

if TYPE_CHECKING:
    from swinkit.explaining.complexity import Complexity as Cost
    from swinkit.explaining.complexity import StageCost
    from swinkit.explaining.measured import Point

SIDES = (224, 320, 448, 640, 896, 1280, 2048)


@dataclass(frozen=True, kw_only=True)
class Complexity:
    """Multiply-adds of W-MSA and of global attention, term by term, for any size and network.

    With --measure also time and memory of Swin and of a plain ViT of the same width.
    """

    model: tuple[str, ...] = ("swin_t",)
    """Names of backbones."""
    image_size: tuple[int, ...] = (224,)
    """Sides of square images, in pixels."""
    measure: bool = False
    """Run Swin and a ViT of the same width over growing images, and fit how their time grows."""
    sides: tuple[int, ...] = SIDES
    """Sides of the images that are run."""
    budget: float = 120.0
    """Seconds that one size may take; where it takes longer, the curve ends there."""
    json: Path | None = None
    """Write the numbers to this file."""
    csv: Path | None = None
    """Write a line per model, size and stage to this file."""
    plot: Path | None = None
    """Draw the cost over the image's area, and what was measured, into this picture."""

    def run(self) -> None:
        """Compute, print and write. Raises SwinkitError for unknown names or sizes."""
        from swinkit.backbones.names import get_variant
        from swinkit.explaining.complexity import complexity

        for side in (*self.image_size, *self.sides):
            check_range("image-size", side, 1, 16384)
        if not self.model or not self.image_size:
            raise ConfigError("name at least one model and one image size")
        for place in (self.json, self.csv, self.plot):
            check_place(place)
        costs = {
            (name, side): complexity(get_variant(name).config, (side, side))
            for name in self.model
            for side in self.image_size
        }
        for (name, side), cost in costs.items():
            standard_output().print(_table(name, side, cost))
        points, said = self._measured()
        self._write(costs, points)
        for line in said:
            print(line)

    def _measured(self) -> "tuple[dict[str, list[Point]], list[str]]":
        from swinkit.explaining.measured import exponent, measure_growth

        points: dict[str, list[Point]] = {}
        said: list[str] = []
        for name in self.model if self.measure else ():
            points[name], left_out = measure_growth(
                name, self.sides, budget=self.budget, tell=_tell
            )
            standard_output().print(_measured_table(name, points[name]))
            for network in ("swin", "vit"):
                power = exponent(points[name], network)
                if power is not None:
                    said.append(f"{name}: time of {network} grows as pixels^{power:.3f}")
            said += left_out
        return points, said

    def _write(
        self, costs: "dict[tuple[str, int], Cost]", points: "dict[str, list[Point]]"
    ) -> None:
        if self.json is not None:
            entries = [{"model": name, **cost.to_dict()} for (name, _), cost in costs.items()]
            measured = {name: [asdict(one) for one in own] for name, own in points.items()}
            with atomic_write(self.json) as temporary:
                text = json.dumps({"complexity": entries, "measured": measured}, indent=2)
                temporary.write_text(text)
        if self.csv is not None:
            with atomic_write(self.csv) as temporary, temporary.open("w", newline="") as file:
                lines = csv.writer(file)
                lines.writerow(["model", "side", *_HEADS])
                for (name, side), cost in costs.items():
                    lines.writerows([name, side, *_cells(*pair)] for pair in enumerate(cost.stages))
        if self.plot is not None:
            from swinkit.backbones.names import get_variant
            from swinkit.explaining.measured import draw

            draw({name: get_variant(name).config for name in self.model}, points, self.plot)


def _tell(point: "Point") -> None:
    print(f"{point.network}, {point.side} x {point.side}: {point.seconds:.2f} s")


_HEADS = (
    "stage", "map", "padded", "channels", "blocks", "qkv", "product", "mean", "projection",
    "W-MSA", "MSA", "MLP", "merging", "stage total",
)  # fmt: skip


def _cells(number: int, stage: "StageCost") -> list[Any]:
    own = stage.windows
    return [
        number + 1,
        f"{stage.size_hw[0]} x {stage.size_hw[1]}",
        f"{stage.padded_hw[0]} x {stage.padded_hw[1]}",
        stage.channels,
        stage.depth,
        own.qkv,
        own.product,
        own.mean,
        own.projection,
        own.total,
        stage.everywhere.total,
        stage.mlp,
        stage.merging,
        stage.total,
    ]


def _table(name: str, side: int, cost: "Cost") -> Any:
    rows = [
        [_millions(value) if place > 4 else str(value) for place, value in enumerate(cells)]
        for cells in (_cells(*pair) for pair in enumerate(cost.stages))
    ]
    title = (
        f"{name}, {side} x {side}: {cost.total / 1e9:.2f} G multiply-adds in the backbone; q k^T "
        f"and weighted mean {cost.attention / 1e9:.2f} G in windows, "
        f"{cost.global_attention / 1e9:.2f} G everywhere (millions per block below)"
    )
    return table(_HEADS, rows, numbers=range(3, len(_HEADS)), title=title)


def _millions(value: int) -> str:
    return f"{value / 1e6:.1f}"


def _measured_table(name: str, points: "list[Point]") -> Any:
    rows = [
        (
            one.network,
            f"{one.side} x {one.side}",
            f"{one.seconds * 1e3:.0f}",
            f"{one.memory_mb:.0f}",
        )
        for one in points
    ]
    heads = ("network", "image", "ms", "peak memory MB")
    return table(heads, rows, numbers=(2, 3), title=f"{name} and a ViT of the same width")
