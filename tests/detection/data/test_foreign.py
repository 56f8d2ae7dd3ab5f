"""Exports of tools that are not read: the tool is named, and what to export instead."""

import json
from pathlib import Path

import pytest
from PIL import Image

from swinkit.errors import DataError
from swinkit.registry import recognize

RESULT = {"from_name": "label", "to_name": "image", "value": {"rectanglelabels": ["cat"]}}
REGION = {"shape_attributes": {"name": "rect", "x": 1}, "region_attributes": {"class": "cat"}}
FILES = {
    "Label Studio": (
        "project.json",
        json.dumps([{"data": {"image": "a.png"}, "annotations": [{"result": [RESULT]}]}]),
    ),
    "VIA's JSON": ("via.json", json.dumps({"a.png1": {"filename": "a.png", "regions": [REGION]}})),
    "VIA's CSV": (
        "via.csv",
        "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,"
        "region_attributes\na.png,1,{},1,0,{},{}\n",
    ),
    "Supervisely": (
        "ds0/ann/a.png.json",
        json.dumps({"size": {"height": 8, "width": 8}, "objects": [{"classTitle": "cat"}]}),
    ),
    "Labelbox": ("export.ndjson", json.dumps({"data_row": {"id": "1"}, "projects": {}}) + "\n"),
    "V7": (
        "a.json",
        json.dumps({"version": "2.0", "schema_ref": "https://darwin-public/darwin_json_2_0"}),
    ),
    "CreateML": (
        "_annotations.createml.json",
        json.dumps([{"image": "a.png", "annotations": [{"label": "cat", "coordinates": {}}]}]),
    ),
}


@pytest.mark.parametrize("tool", FILES)
@pytest.mark.parametrize("images", ["images", "."])
def test_the_tool_is_named(tool: str, images: str, tmp_path: Path) -> None:
    name, content = FILES[tool]
    (tmp_path / images).mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(tmp_path / images / "a.png")
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(content)
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(DataError, match=tool) as caught:
            recognize(path)
        assert "export the annotations as" in str(caught.value)
        assert name in str(caught.value)
