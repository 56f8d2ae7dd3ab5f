"""The table of a benchmark as bars."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from swinkit.benchmarking.table import Row
from swinkit.pictures.drawing import save_figure


def draw(rows: Sequence[Row], batches: Sequence[int], path: Path) -> None:
    """Milliseconds per image of each row, a panel for each batch size. Raises SwinkitError."""
    size = (5.0 * len(batches), 0.8 + 0.32 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    for place, batch in enumerate(batches, start=1):
        measured = [row for row in rows if batch in row.ms][::-1]
        axes = figure.add_subplot(1, len(batches), place)
        bars = axes.barh(
            [f"{row.package} {row.engine} {row.precision}" for row in measured],
            [row.ms[batch] for row in measured],
            color=["#9a9a9a" if row.is_peer else "#0072b2" for row in measured],
        )
        axes.bar_label(bars, fmt="%.0f", padding=2)
        axes.set_xlabel("ms per image")
        axes.set_title(f"batch {batch}")
    save_figure(figure, path)
