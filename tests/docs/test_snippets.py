"""Every snippet of README and docs: commands run or are at least parsed, Python runs.

A block under `<!-- not run: why -->` is only parsed; one under `<!-- tested with "A" for "B" -->`
runs with A in the place of B, such as two steps for forty epochs.
"""

import contextlib
import io
import os
import re
import shlex
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

import swinkit
from swinkit.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?:^[ ]*<!-- (?P<marker>(?:not run|tested with)[^>]*?) -->\n\n?)?"
    r"^(?P<indent>[ ]*)```(?P<kind>\w+)\n(?P<text>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)
CHANGE = re.compile(r'tested with "(?P<new>[^"]*)" for "(?P<old>[^"]*)"')
RUNNABLE = ("python", "bash", "console")
SIDE = 64  # pixels of the images


@dataclass(frozen=True)
class Snippet:
    """A block of a page as it is written, and what its marker says."""

    kind: str
    text: str
    marker: str

    @property
    def runs(self) -> bool:
        return not self.marker.startswith("not run")

    def tested(self) -> str:
        """The text with the marker's replacement."""
        change = CHANGE.match(self.marker)
        if change is None:
            return self.text
        assert change["old"] in self.text, f"{change['old']!r} is not in the block"
        return self.text.replace(change["old"], change["new"])

    def commands(self, text: str) -> list[list[str]]:
        """The `swinkit` commands among the lines, as words."""
        lines = text.splitlines()
        if self.kind == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        split = (shlex.split(line, comments=True) for line in lines)
        return [words[1:] for words in split if words[:1] == ["swinkit"]]


def snippets(page: Path) -> list[Snippet]:
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [
        Snippet(m["kind"], textwrap.dedent(m["text"]), m["marker"] or "")
        for m in found
        if m["kind"] in RUNNABLE
    ]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the data, images and weights that the pages name; the tests run in it."""
    folder = tmp_path_factory.mktemp("desk")
    before = Path.cwd()
    mpl.use("Agg")
    os.chdir(folder)
    try:
        _write_data(folder)
        swinkit.train(
            "photos", recipe="small_data", steps=2, image_size=32, workers=0, out="runs/train"
        )
        _save_small_models()
        yield folder
    finally:
        os.chdir(before)


def _write_data(folder: Path) -> None:
    sys.path.insert(0, str(ROOT / "examples"))
    from demo_shapes import CLASS_NAMES, draw_shapes, write_shapes

    rng = np.random.default_rng(0)
    for number, name in enumerate(CLASS_NAMES[:2]):
        for index in range(6):
            target = folder / "photos" / name / f"{index}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 128, (32, 32, 3)) + 100 * number
            Image.fromarray(pixels.astype(np.uint8)).save(target)
    write_shapes(folder / "shapes", train=3, val=2, test=1, size_hw=(SIDE, SIDE))
    for index in range(6):
        pixels, masks, labels = draw_shapes(np.random.default_rng(index), (SIDE, SIDE))
        semantic = np.zeros((SIDE, SIDE), np.uint8)
        for mask, label in zip(masks, labels.tolist(), strict=True):
            semantic[mask] = 1 + label
        for kind, values in (("images", pixels), ("masks", semantic)):
            target = folder / "streets" / kind / f"{index}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(target)
    (folder / "streets/classes.txt").write_text("ground\ncircle\nsquare\ntriangle\n")
    (folder / "holiday").mkdir()
    for name in ("photo", "street", "new", "holiday/one", "holiday/two"):
        pixels = rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.jpg")
    Image.fromarray(rng.integers(0, 255, (150, 200, 3)).astype(np.uint8)).save("aerial.jpg")


def _save_small_models() -> None:
    names = ("circle", "square", "triangle")
    detector = swinkit.create_detector("mask_rcnn_swin_nano", num_classes=3, class_names=names)
    detector.set_image_size(SIDE)
    swinkit.save(detector, "detector.safetensors")
    segmenter = swinkit.create_segmenter(
        "upernet_swin_nano", num_classes=4, class_names=("ground", *names)
    )
    segmenter.set_image_size(SIDE)
    swinkit.save(segmenter, "segmenter.safetensors")


@pytest.mark.filterwarnings("ignore")  # of libraries; what is shown on a page need only work
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_snippets(page: Path, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    names: dict[str, Any] = {"__name__": "__snippet__"}
    for snippet in snippets(page):
        if snippet.kind == "python":
            code = compile(snippet.tested(), f"{page.name}: {snippet.text[:60]!r}", "exec")
            if snippet.runs:
                exec(code, names)
            continue
        for words in snippet.commands(snippet.text):
            assert _parse(words, monkeypatch) == 0, f"swinkit {shlex.join(words)} is refused"
        if snippet.runs:
            for words in snippet.commands(snippet.tested()):
                assert _run(words) == 0, f"{page.name}: swinkit {shlex.join(words)}"


def _parse(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Through the command line's own parser, without what it would do."""
    if words[0] not in COMMANDS:
        return 0
    module = import_module(f"swinkit.commands.{words[0]}")
    with monkeypatch.context() as patched, contextlib.redirect_stdout(io.StringIO()):
        patched.setattr(getattr(module, words[0].capitalize()), "run", lambda self: None)
        return main(words)


def _run(words: list[str]) -> int:
    if words[0] in ("train", "pretrain"):
        words = [*words, "--workers", "0"]
    return main(words)


def test_a_marker_says_why() -> None:
    for page in PAGES:
        for marker in re.findall(r"<!-- not run(.*?)-->", page.read_text(encoding="utf-8")):
            assert re.match(r": \w+ .*\w ", marker), f"{page}: not run{marker}"


def test_all_commands_are_shown() -> None:
    shown = {
        words[0]
        for page in PAGES
        for snippet in snippets(page)
        if snippet.kind != "python"
        for words in snippet.commands(snippet.text)
    }
    assert set(COMMANDS) <= shown
