"""The annotations of a COCO file, entry by entry. N objects."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swinkit.data.problems import ProblemKind, Problems
from swinkit.detection.data.annotations import RawObject
from swinkit.detection.data.rle import is_number, read_segment, rle_areas, segment_box
from swinkit.parsing import integer, number, sequence, short, truth

NAN = float("nan")

Record = dict[str, Any]
Key = int | str  # the number or name of an image


def image_key(value: Any) -> Key | None:
    """The number or name of an image; a number in a string is the number."""
    if type(value) is int:
        return value
    whole = integer(value)
    return whole if whole is not None else value if isinstance(value, str) else None


@dataclass
class CocoObjects:
    """The annotations that name an image and a class of the file and have a box or an outline.

    Attributes:
        file: they come from.
        rows: row of each image id.
        labels: label of each category id.
        problems: takes what cannot be used.
        faulty: rows of images that lost an object.
    """

    file: Path
    rows: dict[Key, int]
    labels: dict[int, int]
    problems: Problems
    faulty: set[int] = field(default_factory=set)
    _kept: list[RawObject] = field(default_factory=list)
    _seen: dict[Key, RawObject] = field(default_factory=dict)

    def add(self, entry: Any, place: int) -> None:
        """Take one entry, or record why not."""
        if not isinstance(entry, dict):
            self._lose("unreadable entry", f"annotation number {place}", f"is {short(entry)}")
            return
        key = entry.get("id")
        where = f"annotation {f'number {place}' if key is None else short(key)}"
        owner, category = image_key(entry.get("image_id")), integer(entry.get("category_id"))
        row = None if owner is None else self.rows.get(owner)
        if owner is None:
            self._lose("unreadable entry", where, f"image_id is {short(entry.get('image_id'))}")
        elif row is None:
            self._lose("unknown image", where, f"image {short(owner)}")
        elif category is None:
            fault = f"category_id is {short(entry.get('category_id'))}"
            self._lose("unreadable entry", where, fault, row)
        elif category not in self.labels:
            self._lose("unknown class", where, f"category {category}", row)
        elif key is not None and image_key(key) is None:
            self._lose("unreadable entry", where, "its id is no number", row)
        else:
            self._add(entry, where, row, self.labels[category])

    def _lose(self, kind: ProblemKind, where: str, fault: str, row: int | None = None) -> None:
        self.problems.add(kind, f"{self.file}, {where}", f"{fault}: left out")
        if row is not None:
            self.faulty.add(row)

    def _add(self, entry: Record, where: str, row: int, label: int) -> None:
        stated = entry.get("bbox")
        sides = [number(value) for value in sequence(stated)]
        box = (NAN, NAN, NAN, NAN)
        if len(sides) == 4 and all(is_number(side) for side in sides):
            left, top, width, height = (side or 0.0 for side in sides)
            box = (left, top, left + width, top + height)
        elif stated not in (None, [], ""):  # without any box the outline's is taken
            self._lose("unreadable entry", where, f"bbox is {short(stated)}", row)
            return
        segment = read_segment(entry.get("segmentation"))
        crowd, area = truth(entry.get("iscrowd")), number(entry.get("area"))
        if crowd is None:
            done = f"iscrowd is {short(entry['iscrowd'])}: taken for no crowd"
            self.problems.add("unreadable entry", f"{self.file}, {where}", done)
        found = RawObject(
            image=row,
            box_xyxy=box,
            label=label,
            where=where,
            is_crowd=bool(crowd),
            area=area if area is not None and area > 0 else NAN,
            segment=None if isinstance(segment, str) else segment,
            broken=segment if isinstance(segment, str) else "",
        )
        if not self._is_repeated(entry, found):
            self._kept.append(found)

    def _is_repeated(self, entry: Record, found: RawObject) -> bool:
        key = image_key(entry.get("id"))
        first = found if key is None else self._seen.setdefault(key, found)
        if first is found:
            return False
        same = first[:3] == found[:3] and first.box_xyxy[0] == first.box_xyxy[0]
        done = "the same object: left out" if same else "another object: kept"
        self.problems.add("duplicate id", f"{self.file}, {found.where}", done)
        return same

    def finished(self) -> list[RawObject]:
        """All objects, run lengths checked, boxes taken from outlines where none was given."""
        coded = [
            (row, item.segment)
            for row, item in enumerate(self._kept)
            if item.segment is not None and item.segment.counts
        ]
        areas = rle_areas([s.counts for _, s in coded], [s.size_hw or (0, 0) for _, s in coded])
        for (row, _), area in zip(coded, areas.tolist(), strict=True):
            if area <= 0:
                fault = "its run lengths do not fill the image" if area < 0 else "it is empty"
                self._kept[row] = self._kept[row]._replace(segment=None, broken=fault)
        return [item for item in map(self._with_box, self._kept) if item is not None]

    def _with_box(self, item: RawObject) -> RawObject | None:
        if item.box_xyxy[0] == item.box_xyxy[0]:
            return item
        if item.segment is not None:
            return item._replace(box_xyxy=segment_box(item.segment))
        outline = (
            f"its segmentation cannot be used ({item.broken})" if item.broken else "no outline"
        )
        self._lose("unreadable entry", item.where, f"no bbox, and {outline}", item.image)
        return None
