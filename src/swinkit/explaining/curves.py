"""The cost of windows and of global attention over the area of the image, drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from swinkit.backbones.config import SwinConfig
from swinkit.explaining.complexity import complexity
from swinkit.explaining.measured import Point
from swinkit.pictures.drawing import save_figure

SIDES = (224, 320, 448, 640, 896, 1280, 1792, 2048)
# Okabe and Ito's colors, which color-blind readers tell apart.
BLUE, ORANGE = "#0072b2", "#d55e00"


def draw(
    configs: Mapping[str, SwinConfig], points: Mapping[str, Sequence[Point]], path: Path
) -> None:
    """A panel of multiply-adds per model, and one of measured times where there are any.

    Raises:
        SwinkitError: a file that cannot be written.
    """
    columns = 2 if points else 1
    size = (5.2 * columns, 3.8 * len(configs))
    figure = Figure(figsize=size, layout="constrained")
    for row, (name, config) in enumerate(configs.items()):
        axes = figure.add_subplot(len(configs), columns, row * columns + 1)
        costs = [complexity(config, (side, side)) for side in SIDES]
        pixels = [side**2 / 1e6 for side in SIDES]
        axes.loglog(pixels, [c.attention / 1e9 for c in costs], "o-", color=BLUE, label="windows")
        everywhere = [c.global_attention / 1e9 for c in costs]
        axes.loglog(pixels, everywhere, "s--", color=ORANGE, label="everywhere")
        axes.set(xlabel="megapixels", ylabel="G multiply-adds", title=f"{name}: q k^T and mean")
        axes.legend()
        if name in points:
            axes = figure.add_subplot(len(configs), columns, row * columns + 2)
            for network, color, mark in (("swin", BLUE, "o-"), ("vit", ORANGE, "s--")):
                own = [one for one in points[name] if one.network == network]
                x = [one.side**2 / 1e6 for one in own]
                axes.loglog(x, [one.seconds for one in own], mark, color=color, label=network)
            axes.set(xlabel="megapixels", ylabel="seconds", title=f"{name}: measured")
            axes.legend()
    save_figure(figure, path)
