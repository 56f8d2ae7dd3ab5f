"""The page stands alone, and names go into it unharmed."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swinkit.data.inspection import DrawnImage, FactTable, Inspection, select_samples, sizes_table
from swinkit.data.page import as_html, write_page
from swinkit.data.problems import Problem


@pytest.fixture
def inspection() -> Inspection:
    picture = np.full((120, 200, 3), 90, np.uint8)
    return Inspection(
        path=Path("a <b>"),
        title="detection & more",
        tables=(FactTable(title="Objects", header=("class", "train"), rows=(("<cat>", "3"),)),),
        notes=("one <note>",),
        problems=tuple(Problem("bad image", f"{n}.png", "left out") for n in range(600)),
        pictures=tuple(DrawnImage(caption=f"p{n} <i>", image_rgb=picture) for n in range(6)),
        legend=(("sky", np.array([1, 2, 3], np.uint8)),),
    )


def test_page_needs_no_other_file(inspection: Inspection, tmp_path: Path) -> None:
    page, sheet = write_page(inspection, tmp_path / "deep" / "out")
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/jpeg;base64,") == 6
    assert not re.findall(r"(?:src|href)='(?!data:)", text)
    with Image.open(sheet) as image:
        assert image.width > 4 * 400


def test_names_are_escaped(inspection: Inspection) -> None:
    text = as_html(inspection)
    for raw in ("<b>", "<cat>", "<note>", "<i>"):
        assert raw not in text
    assert "detection &amp; more" in text
    assert "rgb(1, 2, 3)" in text


def test_many_problems_are_counted_and_some_listed(inspection: Inspection) -> None:
    text = as_html(inspection)
    assert "Problems: 600" in text
    assert "and 100 more" in text


def test_a_sheet_without_pictures(inspection: Inspection, tmp_path: Path) -> None:
    _, sheet = write_page(replace(inspection, pictures=(), legend=()), tmp_path)
    with Image.open(sheet) as image:
        assert image.height > 0


def test_every_class_is_shown_where_there_is_room() -> None:
    parts = {"train": [[0]] * 50, "val": [[1, 0], [2]]}
    chosen = select_samples(parts, 3, 0, lambda classes: classes)
    assert {label for _, classes in chosen for label in classes} == {0, 1, 2}
    assert [split for split, _ in chosen] == sorted(split for split, _ in chosen)
    assert len(select_samples(parts, 5, 0, lambda classes: classes)) == 5
    assert select_samples(parts, 0, 0, lambda classes: classes) == []
    assert len(select_samples({"val": [[1, 0], [2]]}, 9, 0, lambda classes: classes)) == 2


def test_sizes_of_images() -> None:
    sizes = {"train": [(10, 20)] * 3 + [(30, 20), (5, 5), (6, 6)], "val": []}
    row, empty = sizes_table(sizes).rows
    assert row[:4] == ("train", "6", "5..30", "5..20")
    assert row[4].startswith("10x20: 3, ")
    assert row[4].endswith(", 1 more")
    assert empty[:2] == ("val", "0")
