"""Measuring contenders in turns, so that a machine whose speed drifts treats them alike."""

import gc
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from swinkit.benchmarking.contenders import OURS, Contender, Run, attempt
from swinkit.checkpoints.artifact import SUFFIXES, open_engine
from swinkit.console import table
from swinkit.engines import EngineName, RunPrecision
from swinkit.fresh_process import in_fresh_process
from swinkit.settings import SizeHW


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured of one contender.

    Attributes:
        ms: per image, the median over rounds, by batch size.
        file_mb: of the file that it is opened from.
        memory_mb, cold_seconds: peak of a fresh process, and the time in it from opening the file
            to the first answer; of this package's networks.
        same: share of images for which the class is that of PyTorch in float32.
        metrics: on the data.
        note: why it is missing.
    """

    package: str
    engine: str
    precision: str
    ms: Mapping[int, float]
    file_mb: float | None = None
    memory_mb: float | None = None
    cold_seconds: float | None = None
    same: float | None = None
    metrics: Mapping[str, float] | None = None
    note: str = ""

    @property
    def is_peer(self) -> bool:
        return self.package != OURS


def measure(
    contenders: Sequence[Contender],
    batches: Sequence[int],
    size_hw: SizeHW,
    channels: int,
    rounds: int,
    say: Callable[[str], object],
) -> list[Row]:
    """Milliseconds per image of every contender at every batch size.

    Args:
        say: called with what is done next.
    """
    times: dict[str, dict[int, float]] = {one.name: {} for one in contenders}
    notes: dict[str, str] = {}
    for batch in batches:
        images = torch.randn(batch, channels, *size_hw)
        ready: dict[str, Run] = {}
        for one in contenders:
            say(f"batch {batch}: opening {one.name}")
            run = attempt(one, batch)
            if isinstance(run, str):
                notes[one.name] = run
            else:
                ready[one.name] = run
        _warm_up(ready, images, notes, say)
        say(f"batch {batch}: {rounds} rounds, in turns")
        taken = _take_turns(ready, images, rounds)
        for name, seconds in taken.items():
            times[name][batch] = median(seconds) * 1000 / batch
    return [
        Row(
            package=one.package,
            engine=one.engine,
            precision=one.precision,
            ms=times[one.name],
            file_mb=None if one.file is None else _megabytes(one.file),
            note=notes.get(one.name, ""),
        )
        for one in contenders
    ]


def _warm_up(
    ready: dict[str, Run], images: Tensor, notes: dict[str, str], say: Callable[[str], object]
) -> None:
    """The first run of each, which compiles some for minutes; those that fail are taken out."""
    for name, run in list(ready.items()):
        say(f"batch {len(images)}: first run of {name}")
        try:
            with torch.inference_mode():
                run(images)
        except Exception as error:  # a peer that cannot be compiled, say
            notes[name] = f"{type(error).__name__}"
            del ready[name]


def _take_turns(ready: dict[str, Run], images: Tensor, rounds: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in ready}
    for turn in range(rounds + 1):  # the first one warms up
        for name, run in ready.items():
            gc.collect()
            start = time.perf_counter()
            with torch.inference_mode():
                run(images)
            if turn:
                taken[name].append(time.perf_counter() - start)
    return taken


def _megabytes(path: Path) -> float:
    files = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
    return sum(file.stat().st_size for file in files) / 1e6


def cold_start(
    engine: EngineName, precision: RunPrecision, file: Path, shape: Sequence[int]
) -> tuple[float, float]:
    """Seconds to the first answer and peak memory in MB of a fresh process that opens a file.

    Raises:
        SwinkitError: it ended without an answer.
    """
    arguments = (engine, precision, str(file), tuple(shape), torch.get_num_threads())
    return in_fresh_process(_open_and_run, *arguments)


def _open_and_run(
    engine: EngineName, precision: RunPrecision, file: str, shape: tuple[int, ...], threads: int
) -> float:
    torch.set_num_threads(threads)
    start = time.perf_counter()
    if Path(file).suffix in SUFFIXES:
        run: Run = open_engine(file, precision)
    else:
        from swinkit.inference import load_model

        run = load_model(file, engine=engine, precision=precision).run
    with torch.inference_mode():
        run(torch.randn(shape))
    return time.perf_counter() - start


def machine() -> str:
    """The processor, its vector instructions, threads and versions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return (
        f"{names[0] if names else platform.processor() or platform.machine()}, "
        f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}"
    )


def to_table(rows: Sequence[Row], batches: Sequence[int], title: str) -> Table:
    """The rows, with how many times as fast as the fastest eager peer, or as our eager, each is."""
    peers = [row for row in rows if row.is_peer and row.engine == "eager"] or list(rows[:1])
    heads = ["network", "engine", "precision"]
    for batch in batches:
        heads += [f"ms, batch {batch}", "times"]
    heads += ["file MB", "memory MB", "cold s", "same class", "on the data"]
    cells = []
    for row in rows:
        line = [row.package, row.engine, row.precision]
        for batch in batches:
            if batch not in row.ms:
                line += [row.note or "-", ""]
                continue
            best = min(one.ms[batch] for one in peers if batch in one.ms)
            line += [f"{row.ms[batch]:.1f}", f"{best / row.ms[batch]:.2f}"]
        line += [_number(row.file_mb), _number(row.memory_mb), _number(row.cold_seconds)]
        line.append("" if row.same is None else f"{row.same:.1%}")
        line.append(", ".join(f"{name} {value:.4f}" for name, value in (row.metrics or {}).items()))
        cells.append(line)
    # What was measured of none has no column.
    kept = [place for place in range(len(heads)) if place < 3 or any(row[place] for row in cells)]
    return table(
        [heads[place] for place in kept],
        [[row[place] for place in kept] for row in cells],
        numbers=[column for column, place in enumerate(kept) if 2 < place < len(heads) - 1],
        title=title,
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def to_json(rows: Sequence[Row], machine_: str, size: int) -> dict[str, Any]:
    """Plain values."""
    return {"machine": machine_, "image_size": size, "rows": [asdict(row) for row in rows]}


def draw(rows: Sequence[Row], batches: Sequence[int], path: Path) -> None:
    """Milliseconds per image of each row, a panel for each batch size. Raises SwinkitError."""
    from matplotlib.figure import Figure

    from swinkit.pictures.drawing import save_figure

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
