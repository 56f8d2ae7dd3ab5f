"""Readers of text that anybody may have written: a value, or one line."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swinkit import parsing
from swinkit.errors import ConfigError, DataError, SwinkitError

READERS: dict[str, Any] = {
    "json": parsing.read_json,
    "yaml": parsing.read_yaml,
    "xml": parsing.read_xml,
    "csv": lambda path: list(parsing.read_table(path)),
    "txt": parsing.read_text,
    "lines": parsing.read_lines,
}

DAMAGED = {
    "json": [b"", b"{", b"[" * 10**6, b'{"a": ' + b"9" * 5000 + b"}", b"\xff\xfe\x00", b"\x00"],
    "yaml": [
        b"a: [",
        b"[" * 5000,
        b"a: &x [1, 1]\nb: [*x, *x]\n",
        b"a: \xff",
        b"? !!python/object/apply:os.system [id]",
        b"!!binary 5",
    ],
    "xml": [
        b"",
        b"<a>",
        b"<?xml version='1.0' encoding='klingon'?><a/>",
        b"<!DOCTYPE a [<!ENTITY b 'bb'>]><a>&b;</a>",
        b"<a>" * 10**5,
        b"<?xml version='1.0' encoding='punycode'?><a/>",
        b"<?xml version='1.0' encoding='hex'?><a/>",
        b"<?xml version='1.0' encoding='gbk'?><a>\xff</a>",
    ],
    "csv": [b"", b"\n\n", b"path,path\n", b"path,label\n" + b'"' + b"x" * 200_000 + b'"\n'],
    "txt": [b"\xe9t\xe9", b"\xff\xfe\xd8"],
    "lines": [b"\xe9t\xe9\x00", b"\x81"],
}


@pytest.mark.parametrize(
    ("kind", "content"), [(kind, content) for kind in DAMAGED for content in DAMAGED[kind]]
)
def test_damaged_files_cost_one_line(kind: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / f"file.{kind}"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"file\.") as caught:
        READERS[kind](file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", READERS)
def test_what_is_no_file_costs_one_line(kind: str, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent", tmp_path / ("x" * 300), tmp_path / "a\x00b"):
        with pytest.raises(DataError, match="cannot be read"):
            READERS[kind](path)


def test_the_error_is_the_callers(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="check the path"):
        parsing.read_yaml(tmp_path / "absent.yaml", error=ConfigError)


def test_a_device_has_no_end() -> None:
    with pytest.raises(DataError, match="no end"):
        parsing.read_bytes(Path("/dev/zero"), most=1000)


def test_the_size_is_looked_at_first(tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(10**9)
    with pytest.raises(DataError, match="954 MiB"):
        parsing.read_json(large, most=10**6)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_with_a_mark(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_bytes("café\n犬\n".encode(encoding))
    assert parsing.read_lines(file) == ["café", "犬"]


def test_yaml_keeps_dates_as_text(tmp_path: Path) -> None:
    file = tmp_path / "data.yaml"
    file.write_text("date: 2026-11-25\nbad: 2026-99-99\nn: 3\n")
    assert parsing.read_yaml(file) == {"date": "2026-11-25", "bad": "2026-99-99", "n": 3}


def test_tables(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text('\ufeffPath;Label \r\n\r\n a/b.jpg;\'cat;\r\n"c;d";dog;extra\r\nshort\r\n')
    assert list(parsing.read_table(file)) == [
        (3, {"path": "a/b.jpg", "label": "'cat"}),
        (4, {"path": "c;d", "label": "dog"}),
        (5, {"path": "short", "label": ""}),
    ]


@pytest.mark.parametrize(
    ("value", "as_number", "as_integer", "as_truth"),
    [
        ("7", 7.0, 7, None),
        (" 0.5 ", 0.5, None, None),
        ("3.0", 3.0, 3, None),
        (1, 1.0, 1, True),
        ("0", 0.0, 0, False),
        ("1", 1.0, 1, True),
        (0.0, 0.0, 0, False),
        (None, None, None, False),
        (True, None, None, True),
        ("false", None, None, False),
        ("nan", None, None, None),
        (math.inf, None, None, None),
        ("1e999", None, None, None),
        (10**400, None, 10**400, None),
        ([], None, None, None),
        ("12345678901234567890", 12345678901234567890.0, 12345678901234567890, None),
        ("٣", 3.0, 3, None),
    ],
)
def test_fields(value: Any, as_number: Any, as_integer: Any, as_truth: Any) -> None:
    assert parsing.number(value) == as_number
    assert parsing.integer(value) == as_integer
    assert parsing.truth(value) == as_truth


@settings(deadline=None, max_examples=300)
@given(content=st.binary(max_size=200), kind=st.sampled_from(sorted(READERS)))
def test_any_bytes(content: bytes, kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / f"any.{kind}"
    file.write_bytes(content)
    refusal = ""
    try:
        READERS[kind](file)
    except SwinkitError as error:  # and no other
        refusal = str(error)
    assert refusal.isprintable()


@settings(deadline=None)
@given(st.text(max_size=3000))
def test_messages_are_short_printable_lines(text: str) -> None:
    shown = str(SwinkitError(text))
    assert shown.isprintable()
    assert len(shown) <= 500


def test_tables_and_lists_of_old_spreadsheet_programs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table, lines = tmp_path / "list.csv", tmp_path / "names.txt"
    table.write_bytes("path;label\na.png;Käse\nb.png;Crème 5 €\n".encode("cp1252"))
    lines.write_bytes("Käse\r\nbread\r\n".encode("latin-1"))
    for _ in range(2):
        labels = [row["label"] for _, row in parsing.read_table(table)]
        assert labels == ["Käse", "Crème 5 €"]
        assert parsing.read_lines(lines) == ["Käse", "bread"]
    told = [record.getMessage() for record in caplog.records]
    assert [str(table) in told[0], str(lines) in told[1], len(told)] == [True, True, 2]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-16", "iso-8859-1", "gbk", "shift_jis", "euc-kr", "windows-1251"]
)
def test_xml_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    words = {"gbk": "猫", "shift_jis": "猫", "euc-kr": "고양이", "windows-1251": "кот"}
    word = words.get(encoding, "chaton é")
    page = f"<?xml version='1.0' encoding='{encoding}'?>\n<a><name>{word}</name></a>"
    (tmp_path / "a.xml").write_bytes(page.encode(encoding))
    assert parsing.read_xml(tmp_path / "a.xml").findtext("name") == word
