"""What happened to every tensor on the way from a file to a model, and back."""

from collections import Counter
from dataclasses import dataclass, field

from swinkit.task.weights import Evidence

SHOWN = 6  # names listed per heading; the lists themselves are complete


@dataclass(kw_only=True)
class LoadReport:
    """What happened in one `load`. `str(report)` is what is printed; nothing is left out silently.

    Attributes:
        origin: file, hub id, URL or "state dict".
        source: family the names belong to.
        summary: the architecture in a line.
        loaded: tensors of the model that come from the file.
        parameters: how many numbers those are.
        renamed: native name to foreign names, where they differ.
        changed: what was computed anew: windows, position embeddings, channels, classes, types.
        derived: buffers in the file that swinkit computes itself.
        ignored: foreign name to reason.
        other: names that belong to other parts of a larger model.
        initialized: native names that got fresh random values on request.
        missing: native names that the file lacks, left at fresh values.
        unexpected: foreign names that nothing explains.
        guesses: decisions that the file does not prove.
        notes: facts worth knowing.
    """

    origin: str
    source: str
    summary: str = ""
    loaded: int = 0
    parameters: int = 0
    renamed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    derived: int = 0
    ignored: dict[str, str] = field(default_factory=dict)
    other: list[str] = field(default_factory=list)
    initialized: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    guesses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, evidence: Evidence) -> None:
        """Enter what was concluded from it."""
        self.guesses += evidence.guesses
        self.notes += evidence.notes

    @property
    def unexplained(self) -> list[str]:
        """One line per thing that strict mode refuses."""
        return [
            *(f"missing {name}" for name in self.missing),
            *(f"unexpected {name}" for name in self.unexpected),
            *(f"guess: {text}" for text in self.guesses),
        ]

    def __str__(self) -> str:
        lines = [
            f"{self.origin}: {self.source} weights",
            *_row("model", self.summary),
            *_row("loaded", f"{self.loaded} tensors, {self.parameters / 1e6:.2f} M numbers"),
            *_row("renamed", f"{len(self.renamed)} tensors" if self.renamed else ""),
            *_row("computed", f"{self.derived} derived buffers left out" if self.derived else ""),
        ]
        for reason, count in Counter(self.ignored.values()).items():
            lines += _row("ignored", f"{count} tensors: {reason}")
        lines += _row("other parts", _roots(self.other))
        lines += [line for text in self.changed for line in _row("changed", text)]
        lines += _row("new values", _names(self.initialized))
        lines += _row("missing", _names(self.missing))
        lines += _row("unexpected", _names(self.unexpected))
        lines += [line for text in self.guesses for line in _row("guessed", text)]
        lines += [line for text in self.notes for line in _row("note", text)]
        return "\n".join(lines)


@dataclass(kw_only=True)
class ConvertReport:
    """What happened in one `convert`.

    Attributes:
        source, target: file or folder read and written.
        layout: naming of the target.
        written: parameters in it.
        derived: buffers that the target's own loader expects, computed and written.
        notes: where the target computes something else with the same weights.
        load: how the source was read.
    """

    source: str
    target: str
    layout: str
    written: int = 0
    derived: int = 0
    notes: list[str] = field(default_factory=list)
    load: LoadReport | None = None

    def __str__(self) -> str:
        lines = [str(self.load)] if self.load else []
        lines += [
            f"{self.target}: {self.layout} weights",
            *_row("written", f"{self.written} tensors, {self.derived} derived buffers"),
        ]
        lines += [line for text in self.notes for line in _row("note", text)]
        return "\n".join(lines)


def _row(head: str, text: str) -> list[str]:
    return [f"  {head:<12}{text}"] if text else []


def _names(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _roots(names: list[str]) -> str:
    counts = Counter(name.split(".")[0] for name in names)
    return ", ".join(f"{root} ({count} tensors)" for root, count in counts.items())
