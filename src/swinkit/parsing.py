"""Reading text that anybody may have written: one guarded reader for each format.

Every fault of a file (missing, a folder, no permission, another encoding, damaged, nested without
end, too large) becomes one error that names the file, the place in it and what to do. The readers
return plain values; `number`, `integer`, `text` and their like then take single fields from them.
"""

import codecs
import csv
import io
import json
import logging
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

import yaml

from swinkit.errors import DataError, SwinkitError, one_line

logger = logging.getLogger(__name__)

Error = Callable[[str], SwinkitError]

MOST_BYTES = 4 << 30  # COCO's largest annotation files have half a gigabyte
MOST_YAML_BYTES = 16 << 20  # PyYAML needs a hundred times the memory of the text
SHOWN = 60  # characters of a value in a message
DEEPEST = 100  # levels of nesting; annotations have five
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
LEGACY = "cp1252"
# What no text in that encoding has: control characters, and bytes that mean nothing in it.
NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f\x81\x8d\x8f\x90\x9d]")
XML_ENCODING = re.compile(rb"""\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([\w.-]{1,40})["']""")
EXPATS = ("utf-8", "utf-16", "ascii", "iso8859-1")
# Encodings of text that Python has and that are none of a file's.
NO_FILE_ENCODINGS = {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"}
TRUE, FALSE = {"true", "yes", "1"}, {"false", "no", "0", ""}


def read_bytes(path: Path, *, error: Error = DataError, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file. Raises the error: missing, unreadable, or too large."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise error(
                    f"{path} has {size / 2**20:.0f} MiB, more than the {most / 2**20:.0f} that "
                    "such a file may have; check that it is the right file"
                )
            content = file.read(most + 1)
    except (OSError, ValueError) as fault:  # ValueError: a zero byte in the name
        raise error(f"{path} cannot be read: {reason_of(fault)}; check the path") from fault
    if len(content) > most:  # a device or a pipe, which tells no size
        raise error(f"{path} has no end within {most / 2**20:.0f} MiB; name a regular file")
    return content


def read_text(
    path: Path, *, error: Error = DataError, most: int = MOST_BYTES, legacy: bool = False
) -> str:
    """Text in UTF-8, or in UTF-16 or UTF-32 with a byte order mark.

    Args:
        legacy: text that is none of these is read as Windows-1252, of which Latin-1 is a part, and
            the log says so: spreadsheet programs write it.

    Raises:
        The error: the file cannot be read, or is text in another encoding.
    """
    content = read_bytes(path, error=error, most=most)
    encoding = next(
        (name for mark, name in BYTE_ORDER_MARKS.items() if content.startswith(mark)), "utf-8"
    )
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as fault:
        if legacy and encoding == "utf-8" and not NO_TEXT.search(content):
            _tell_encoding(path)
            return content.decode(LEGACY)
        line = content.count(b"\n", 0, fault.start) + 1
        raise error(
            f"{path}, line {line}: is no UTF-8 text (byte 0x{content[fault.start]:02x}); save the "
            "file as UTF-8"
        ) from fault


@lru_cache(maxsize=1000)  # once for each file
def _tell_encoding(path: Path) -> None:
    logger.warning(
        "%s is no UTF-8 text and was read as Windows-1252; if names look wrong, save it as UTF-8",
        one_line(str(path)),
    )


def read_lines(path: Path, *, error: Error = DataError) -> list[str]:
    """Lines without their ends and without white space around them. Raises the error."""
    return [line.strip() for line in read_text(path, error=error, legacy=True).splitlines()]


def read_json(path: Path, *, error: Error = DataError, most: int = MOST_BYTES) -> Any:
    """The value of a JSON file. Raises the error, which names line and column."""
    return parse_json(read_text(path, error=error, most=most), str(path), error=error)


def parse_json(content: str, where: str, *, error: Error = DataError) -> Any:
    """The value of JSON text that came from `where`. Raises the error."""
    try:
        return json.loads(content)
    except json.JSONDecodeError as fault:
        raise error(
            f"{where}, line {fault.lineno}, column {fault.colno}: is no JSON ({fault.msg}); write "
            "the file anew"
        ) from fault
    except (RecursionError, ValueError) as fault:  # ValueError: a number of thousands of digits
        raise error(f"{where}: is no JSON that can be used ({reason_of(fault)})") from fault


class _PlainLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML without aliases (a few of them can stand for gigabytes) and without dates."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_yaml(path: Path, *, error: Error = DataError) -> Any:
    """The value of a YAML file. Raises the error, which names the line."""
    content = read_text(path, error=error, most=MOST_YAML_BYTES)
    try:
        depth = 0
        for event in yaml.parse(content, Loader=_PlainLoader):
            if isinstance(event, yaml.AliasEvent):
                raise error(f"{path}: uses the alias *{event.anchor}; write its value out")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise error(f"{path}: is nested more than {DEEPEST} deep; check the file")
        return yaml.load(content, Loader=_PlainLoader)
    except yaml.MarkedYAMLError as fault:
        line = "" if fault.problem_mark is None else f", line {fault.problem_mark.line + 1}"
        raise error(f"{path}{line}: is no YAML ({fault.problem}); correct it") from fault
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as fault:
        raise error(f"{path}: is no YAML that can be used ({reason_of(fault)})") from fault


def read_xml(path: Path, *, error: Error = DataError) -> ElementTree.Element:
    """The root of an XML file. Raises the error, which names line and column."""
    content = read_bytes(path, error=error)
    builder, depth = ElementTree.TreeBuilder(), 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} deep")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = _refuse_entity
    try:
        parser.Parse(_decoded(content), True)
        return builder.close()
    except expat.ExpatError as fault:
        problem = expat.ErrorString(fault.code)
        raise error(
            f"{path}, line {fault.lineno}, column {fault.offset + 1}: is no XML ({problem}); write "
            "the file anew"
        ) from fault
    except (LookupError, ValueError) as fault:  # LookupError: an unknown encoding
        raise error(f"{path}: is no XML that can be used ({reason_of(fault)})") from fault


def _decoded(content: bytes) -> bytes | str:
    """An XML file as text where expat does not know the encoding that it declares.

    Raises:
        LookupError: nor does Python.
        ValueError: the file is not in it.
    """
    declared = XML_ENCODING.match(content[:400])
    if declared is None:
        return content
    name = codecs.lookup(declared[1].decode()).name
    if name in NO_FILE_ENCODINGS:
        raise LookupError(f"unknown encoding: {name}")
    return content if name.startswith(EXPATS) else content.decode(name)


def _refuse_entity(name: str, *_: object) -> None:
    # Entities that expand to others make gigabytes of a few lines.
    raise ValueError(f"it declares the entity {name}")


def read_table(
    path: Path, *, error: Error = DataError, lower: bool = True
) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV file under the names of its columns, each with the number of its line.

    The separator is the comma, semicolon or tab that the header has the most of; names of columns
    are in lower case (unless told otherwise), values without white space around them. Empty lines
    are passed over.

    Raises:
        The error: no header, a column named twice, or a row that is no CSV.
    """
    content = read_text(path, error=error, legacy=True)
    if content[:4].lower() == "sep=":  # a spreadsheet program's hint at the separator
        content = "\n" + content.partition("\n")[2]
    header_line = content.lstrip("\r\n").split("\n", 1)[0]
    if not header_line.strip():
        raise error(f"{path}: is empty; its first line must name the columns")
    delimiter = max(",;\t", key=header_line.count)
    rows = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter)
    header: list[str] | None = None
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as fault:
            raise error(f"{path}, line {rows.line_num}: is no CSV ({fault}); correct it") from fault
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if header is None:
            header = [cell.lower() for cell in cells] if lower else cells
            twice = {name for name in header if name and header.count(name) > 1}
            if twice:
                raise error(f"{path}: the column {sorted(twice)[0]!r} is there twice; rename one")
            continue
        cells += [""] * (len(header) - len(cells))
        yield rows.line_num, dict(zip(header, cells, strict=False))


def number(value: Any) -> float | None:
    """A finite number, also one that is written as text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value.strip())
        except ValueError:
            return None
    if not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def integer(value: Any) -> int | None:
    """A whole number, also 3.0 and "3"; None for anything else. Large ids stay exact."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lstrip("+-").isascii():
        digits = value.strip().lstrip("+-")
        if digits.isdigit() and len(digits) <= 30:
            return int(value.strip())
    found = number(value)
    return int(found) if found is not None and found.is_integer() else None


def truth(value: Any) -> bool | None:
    """True or false, also as 0, 1, "0", "true", "no"; None for anything else."""
    if value is None:
        return False
    if isinstance(value, (bool, int, float)):
        return bool(value) if value in (0, 1) else None
    word = value.strip().lower() if isinstance(value, str) else "?"
    return True if word in TRUE else False if word in FALSE else None


def mapping(value: Any) -> Mapping[Any, Any]:
    """A mapping; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> list[Any]:
    """A list; an empty one for anything else."""
    return value if isinstance(value, list) else []


def reason_of(fault: BaseException) -> str:
    """Why the system or a library refused, in a few words."""
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    if isinstance(fault, RecursionError):
        return "nested too deep"
    return str(fault).splitlines()[0] if str(fault) else type(fault).__name__


def short(value: object) -> str:
    """A value in a message."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
