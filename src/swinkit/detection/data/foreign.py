"""Exports of annotation tools that swinkit does not read: named, with the export to choose."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from swinkit.errors import DataError
from swinkit.parsing import reason_of

MOST_ENTRIES = 5000  # names that are looked at on each level: data sets have millions
MOST_FILES = 20  # of each level that are looked into
MOST_LOOKED_AT = 1 << 20  # bytes of each
SUFFIXES = frozenset({".json", ".jsonl", ".ndjson", ".csv"})

# Marks that stand together in a tool's files; the tool, and what to export there instead.
TOOLS: tuple[tuple[tuple[bytes, ...], str, str], ...] = (
    ((b'"from_name"', b'"to_name"'), "Label Studio's own JSON", "COCO or YOLO"),
    ((b'"rectanglelabels"',), "Label Studio's own JSON", "COCO or YOLO"),
    ((b'"polygonlabels"',), "Label Studio's own JSON", "COCO or YOLO"),
    ((b'"brushlabels"',), "Label Studio's own JSON", "PNG masks (Brush labels to PNG)"),
    ((b'"shape_attributes"', b'"region_attributes"'), "VIA's JSON", "COCO (Annotation menu)"),
    ((b"region_shape_attributes", b"region_attributes"), "VIA's CSV", "COCO (Annotation menu)"),
    ((b'"classTitle"',), "Supervisely's JSON", "COCO, Pascal VOC or YOLO (Export to ... apps)"),
    ((b'"data_row"', b'"projects"'), "Labelbox's NDJSON", "COCO (labelbox's converter)"),
    ((b'"Labeled Data"', b'"Label"'), "Labelbox's JSON", "COCO (labelbox's converter)"),
    ((b'"schema_ref"', b"darwin"), "V7's Darwin JSON", "COCO, Pascal VOC or YOLO"),
    ((b'"workview_url"',), "V7's Darwin JSON", "COCO, Pascal VOC or YOLO"),
    ((b'"annotations"', b'"coordinates"', b'"label"'), "CreateML's JSON", "COCO or YOLO"),
)


def refuse_foreign(path: Path) -> None:
    """Name the tool whose files lie at `path`, where there are such files.

    Raises:
        DataError: files of a tool that are not read.
    """
    for file in _candidates(path):
        try:
            with file.open("rb") as opened:
                start = opened.read(MOST_LOOKED_AT)
        except OSError as error:
            raise DataError(f"{file} cannot be read: {reason_of(error)}") from error
        for marks, tool, export in TOOLS:
            if all(mark in start for mark in marks):
                raise DataError(
                    f"{file} is {tool}, which swinkit does not read; export the annotations as "
                    f"{export} (for folders of classes beside it: --data.kind folders)"
                )


def _candidates(path: Path) -> Iterator[Path]:
    """Files of the tools' kinds: the path itself, in the folder, and one and two levels below."""
    if path.is_file():
        yield from (path,) if path.suffix.lower() in SUFFIXES else ()
        return
    for pattern in ("*", "*/*", "*/*/*"):
        entries = islice(path.glob(pattern), MOST_ENTRIES)
        named = (file for file in entries if file.suffix.lower() in SUFFIXES)
        yield from islice((file for file in named if file.is_file()), MOST_FILES)
