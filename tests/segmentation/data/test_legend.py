"""Class lists and legends in the ways that tools write them."""

from pathlib import Path

import pytest

from swinkit.errors import DataError
from swinkit.segmentation.data.legend import LegendLine, class_list, find_legend, read_legend

EXPECTED = (LegendLine("sky", (70, 130, 180)), LegendLine("traffic light", (250, 170, 30)))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("legend.csv", "name,r,g,b\nsky,70,130,180\ntraffic light,250,170,30\n"),
        ("legend.csv", "sky, 70, 130, 180\n'traffic light', 250, 170, 30\n"),
        ("class_dict.csv", "name,r,g,b,class_11\nsky,70,130,180,1\ntraffic light,250,170,30,2\n"),
        ("label_colors.txt", "70 130 180\tsky\n250 170 30\t\ttraffic light\n"),
        ("legend.txt", "# comment\nsky 70 130 180\n\ntraffic light 250 170 30\n"),
        (
            "labelmap.txt",
            "# label:color_rgb:parts:actions\nsky:70,130,180::\ntraffic light:250,170,30::\n",
        ),
        ("legend.json", '{"sky": [70, 130, 180], "traffic light": [250, 170, 30]}'),
        (
            "classes.json",
            '[{"name": "sky", "color": [70, 130, 180]},'
            '{"name": "traffic light", "color": "#faaa1e"}]',
        ),
        (
            "palette.json",
            '{"categories": [{"name": "sky", "color": [70, 130, 180]},'
            '{"name": "traffic light", "color": [250, 170, 30]}]}',
        ),
    ],
)
def test_legends(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    found = find_legend(tmp_path)
    assert found == tmp_path / name
    assert read_legend(found) == EXPECTED


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "Sky\nRoad 2\nTree\n"),
        ("labels.txt", "\ufeffSky\r\nRoad 2\r\nTree\r\n"),
        ("classes.json", '["Sky", "Road 2", "Tree"]'),
        ("classes.json", '{"0": "Sky", "10": "Tree", "2": "Road 2"}'),
    ],
)
def test_plain_lists(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert class_list(read_legend(tmp_path / name)) == ("Sky", "Road 2", "Tree")


def test_void_is_no_class_and_a_name_may_have_two_colors(tmp_path: Path) -> None:
    path = tmp_path / "legend.csv"
    path.write_text("Void,0,0,0\nroad,1,1,1\nroad,2,2,2\ncar,3,3,3\n")
    assert class_list(read_legend(path)) == ("road", "car")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no class"),
        ("a,1,2,3\nb\n", "'b' has no color"),
        ("a,1,2,3\nb,1,2,3\n", "share the color"),
        ("a,1,2,300\n", "use 0 to 255"),
        ("name,value\na,1\nb,1\n", "share the value 1"),
        (f"name,value\na,{2**70}\n", "use 0 to 2147483647"),
        ("name,value\na,x\n", "line 2: value is 'x'"),
        ("name,r,g,b\na,1,2,x\n", "line 2: the color is"),
        ("name,color\na,#12345\n", "line 2: the color is"),
    ],
)
def test_legends_that_contradict(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "legend.csv").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_legend(tmp_path / "legend.csv")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[1, 2]", '[{"id": 1}]', '{"a": [1]}'])
def test_unreadable_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(DataError, match=r"classes\.json"):
        read_legend(tmp_path / "classes.json")


def test_no_legend(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("hello")
    assert find_legend(tmp_path) is None
