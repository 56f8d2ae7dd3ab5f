"""An inspection as a web page that needs no other file, and as one picture. h w picture."""

import base64
import io
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from swinkit.data.inspection import DrawnImage, FactTable, Inspection
from swinkit.files import atomic_write
from swinkit.images.preprocessing import resize_pixels
from swinkit.pictures.drawing import save_figure
from swinkit.pictures.figures import image_grid, shorten

PAGE, SHEET = "index.html", "pictures.png"
PAGE_SIDE = 900  # pixels of a picture's long side on the page
COLUMNS = 4
CELL_INCHES = (4.0, 3.2)  # of a picture on the sheet
LONGEST_TITLE = 60  # characters above it
JPEG_QUALITY = 85
LISTED_PROBLEMS = 500  # items on the page; all are counted

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1500px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.4em; margin-bottom: 0; }
h2 { font-size: 1.1em; margin: 1.6em 0 .4em; }
table { border-collapse: collapse; }
th, td { padding: .15em .8em; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
.pictures { display: grid; gap: 1em; grid-template-columns: repeat(auto-fill, minmax(420px, 1fr)); }
figure { margin: 0; }
img { width: 100%; height: auto; }
figcaption { font-size: .85em; overflow-wrap: anywhere; }
.swatch { display: inline-block; margin: 0 1em .6em 0; }
.swatch i { display: inline-block; width: 1em; height: 1em; margin-right: .4em; }
.problem { color: #c53030; }
"""


def write_page(inspection: Inspection, folder: Path) -> tuple[Path, Path]:
    """Write index.html and pictures.png into a folder.

    Returns:
        Both paths.

    Raises:
        SwinkitError: a file cannot be written.
    """
    page, sheet = folder / PAGE, folder / SHEET
    with atomic_write(page) as temporary:
        temporary.write_text(as_html(inspection), encoding="utf-8")
    figure = image_grid(
        [picture.image_rgb for picture in inspection.pictures],
        [shorten(picture.caption, LONGEST_TITLE) for picture in inspection.pictures],
        columns=COLUMNS,
        cell_inches=CELL_INCHES,
        legend=inspection.legend,
    )
    save_figure(figure, sheet)
    return page, sheet


def as_html(inspection: Inspection) -> str:
    """The whole page, pictures included."""
    name = escape(str(inspection.path))
    parts = [
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{name}</title>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<style>{STYLE}</style></head><body>",
        f"<h1>{name}</h1><p>{escape(inspection.title)}</p>",
        *_problems_html(inspection),
    ]
    if inspection.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in inspection.notes)
        parts.append(f"<h2>Notes</h2><ul>{notes}</ul>")
    parts += [_table_html(table) for table in inspection.tables]
    parts.append("<h2>Pictures</h2>")
    parts += [_swatch_html(name, color) for name, color in inspection.legend]
    parts.append("<div class='pictures'>")
    parts += [_picture_html(picture) for picture in inspection.pictures]
    parts.append("</div></body></html>\n")
    return "\n".join(parts)


def _problems_html(inspection: Inspection) -> list[str]:
    if not inspection.problems:
        return ["<p>No problems found.</p>"]
    rows = tuple((kind, str(count)) for kind, count in inspection.kinds().items())
    listed = inspection.problems[:LISTED_PROBLEMS]
    items = "".join(
        f"<tr><td>{escape(item.kind)}</td><td style='text-align:left'>{escape(item.where)}</td>"
        f"<td style='text-align:left'>{escape(item.done)}</td></tr>"
        for item in listed
    )
    more = len(inspection.problems) - len(listed)
    tail = f"<p>and {more} more</p>" if more else ""
    title = f"Problems: {len(inspection.problems)}"
    counted = _table_html(FactTable(title=title, header=("kind", "items"), rows=rows))
    return [
        f"<div class='problem'>{counted}</div>",
        f"<details><summary>each item</summary><table>{items}</table>{tail}</details>",
    ]


def _table_html(table: FactTable) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    return f"<h2>{escape(table.title)}</h2><table><tr>{head}</tr>{rows}</table>"


def _swatch_html(name: str, color: np.ndarray) -> str:
    red, green, blue = (int(part) for part in color)
    style = f"background: rgb({red}, {green}, {blue})"
    return f"<span class='swatch'><i style='{style}'></i>{escape(name)}</span>"


def _picture_html(picture: DrawnImage) -> str:
    file = io.BytesIO()
    _shrunk(picture.image_rgb, PAGE_SIDE).save(file, format="JPEG", quality=JPEG_QUALITY)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    caption = escape(picture.caption)
    return (
        f"<figure><img alt='{caption}' src='data:image/jpeg;base64,{data}'>"
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _shrunk(image_rgb: np.ndarray, side: int) -> Image.Image:
    """At most `side` pixels on its long side, the aspect kept."""
    height, width = image_rgb.shape[:2]
    scale = min(1.0, side / max(height, width))
    size_hw = (max(1, round(height * scale)), max(1, round(width * scale)))
    return Image.fromarray(resize_pixels(image_rgb, size_hw, "lanczos"))
