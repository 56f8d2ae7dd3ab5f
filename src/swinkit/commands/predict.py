"""`swinkit predict`: classes for images, as a table and as files."""

import csv
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from swinkit.commands.loading import Device, load_classifier
from swinkit.errors import ConfigError
from swinkit.files import atomic_write
from swinkit.images.sources import find_images

if TYPE_CHECKING:
    from swinkit.results.classification import Classification


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Classify images with a trained model."""

    sources: tyro.conf.Positional[
        Annotated[tuple[str, ...], tyro.conf.arg(metavar="IMAGE [IMAGE ...]")]
    ]
    """Images, folders of images, or quoted patterns such as 'photos/**/*.jpg'."""
    weights: str
    """A weight file of any Swin family, a name from `swinkit models`, a hub id or a URL."""
    top_k: int = 3
    """Classes per image, most probable first."""
    json: Path | None = None
    """Write the answers to this file as JSON; - prints them instead of the table."""
    csv: Path | None = None
    """Write the answers to this file: columns source, rank, label, probability."""
    plot: Path | None = None
    """Draw each image beside its classes into this folder."""
    skip_bad: bool = False
    """Leave unreadable images out and name them; without this the first one stops the command."""
    batch_size: int = 16
    """Images per forward pass."""
    image_size: int | None = None
    """Side of the input in pixels; None takes the model's own."""
    device: Device = "auto"
    """auto takes the GPU where there is one."""

    def run(self) -> None:
        """Predict, print and write.

        Raises:
            SwinkitError: no image, an unreadable one, unusable weights, or a refused write.
        """
        if not self.sources:
            raise ConfigError("no images to predict; name files, folders or patterns")
        if self.top_k < 1 or self.batch_size < 1:
            raise ConfigError(
                f"top-k is {self.top_k} and batch-size {self.batch_size}; both must be >= 1"
            )
        images = [path for source in self.sources for path in find_images(source)]
        model = load_classifier(self.weights, self.image_size, self.device)
        results = model.predict(
            images, batch_size=self.batch_size, on_error="skip" if self.skip_bad else "raise"
        )
        if not results:
            raise ConfigError(f"none of the {len(images)} images is readable; name others")
        self._name_skipped(images, results)
        self._write(results)
        if self.json != Path("-"):
            _print_table(results, self.top_k)

    def _name_skipped(self, images: list[Path], results: list["Classification"]) -> None:
        done = {result.source for result in results}
        skipped = [str(path) for path in images if str(path) not in done]
        if skipped:
            listed = ", ".join(skipped)
            print(f"swinkit: skipped {len(skipped)} unreadable: {listed}", file=sys.stderr)

    def _write(self, results: list["Classification"]) -> None:
        if self.json is not None:
            values = [result.to_dict(self.top_k) for result in results]
            text = json.dumps(values, ensure_ascii=False, indent=1) + "\n"
            if self.json == Path("-"):
                sys.stdout.write(text)
            else:
                _write_text(self.json, text)
        if self.csv is not None:
            _write_text(self.csv, _as_csv(results, self.top_k))
        if self.plot is not None:
            _draw(results, self.plot, self.top_k)


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def _as_csv(results: list["Classification"], top_k: int) -> str:
    lines = io.StringIO()
    table = csv.writer(lines)
    table.writerow(("source", "rank", "label", "probability"))
    for result in results:
        for rank, (label, probability) in enumerate(result.top(top_k), start=1):
            table.writerow((result.source, rank, label, f"{probability:.6f}"))
    return lines.getvalue()


def _draw(results: list["Classification"], folder: Path, top_k: int) -> None:
    taken: set[str] = set()
    for result in results:
        stem = Path(result.source or "image").stem
        name, copy = stem, 2
        while name in taken:
            name, copy = f"{stem}-{copy}", copy + 1
        taken.add(name)
        result.plot(folder / f"{name}.png", k=top_k)


def _print_table(results: list["Classification"], top_k: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold")
    table.add_column("image", overflow="fold")
    count = min(top_k, len(results[0].class_names))
    for rank in range(count):
        table.add_column("class" if rank == 0 else f"{rank + 1}.", overflow="fold")
        table.add_column("%", justify="right")
    for result in results:
        cells = [Text(result.source or "")]
        for label, probability in result.top(top_k):
            cells += [Text(label), Text(f"{100 * probability:.1f}")]
        table.add_row(*cells)
    Console().print(table)
