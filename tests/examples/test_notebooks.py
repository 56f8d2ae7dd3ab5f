"""The notebooks run from top to bottom, here with a few steps; `make notebooks` runs them whole."""

import json
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "examples/notebooks"
# What stands in the notebook, and what the test puts in its place.
SHORTER = {
    "own_classes": ("epochs=4", "steps=2"),
    "boxes_and_masks": ("steps=220", "steps=2"),
    "backbone_in_your_model": ("STEPS = 300", "STEPS = 3"),
}
MOST_BYTES = 100_000


def cells(name: str, kind: str) -> list[str]:
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == kind]


def test_all_notebooks_are_tested() -> None:
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(SHORTER)


@pytest.mark.filterwarnings("ignore")  # of libraries; what a notebook shows need only work
@pytest.mark.parametrize("name", SHORTER)
def test_a_notebook_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning")
    if name == "own_classes":
        pytest.importorskip("sklearn")
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(NOTEBOOKS.parent))
    old, new = SHORTER[name]
    code = cells(name, "code")
    assert sum(old in cell for cell in code) == 1, f"{old!r} is not in one cell"
    names: dict[str, object] = {"__name__": "__notebook__"}
    try:
        for number, cell in enumerate(code):
            exec(compile(cell.replace(old, new), f"{name}, code cell {number}", "exec"), names)
    finally:
        plt.close("all")


@pytest.mark.parametrize("name", SHORTER)
def test_a_notebook_is_small_and_explains_each_step(name: str) -> None:
    path = NOTEBOOKS / f"{name}.ipynb"
    assert path.stat().st_size < MOST_BYTES
    kinds = [cell["cell_type"] for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    for before, after in zip(["code", *kinds], kinds, strict=False):
        assert "markdown" in (before, after), "a code cell stands without a word before it"
