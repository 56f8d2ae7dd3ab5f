"""Whatever stands in an annotation file, loading it ends well or with one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swinkit.data.config import DataConfig
from swinkit.detection.data.dataset import DetectionDataset
from swinkit.detection.data.splits import load_parts
from swinkit.detection.train_config import DetectionAugmentation
from swinkit.errors import SwinkitError
from swinkit.images.fitting import Fit

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.lists(st.floats(), max_size=9),
    st.lists(st.lists(st.floats(-500, 500), max_size=9), max_size=3),
)
LINES = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.lists(st.floats(-0.5, 1.5), max_size=12).map(
            lambda values: "0 " + " ".join(map(str, values))
        ),
    ),
    max_size=4,
)
# What XML can hold.
TEXT = st.text(
    st.characters(blacklist_categories=["Cs", "Cc", "Cn"]), max_size=8
) | st.sampled_from(
    ("1e300", "-5", "nan", "3,3,-1", "1,1;2", "99999999999999999999", "0,6", "a,b;c,d;e,f")
)
RELAXED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """Every place in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, child in inner:
        found.append((*path, key))
        if isinstance(child, dict | list):
            found += places(child, (*path, key))
    return found


def is_read_or_refused(path: Path) -> bool:
    """Load, and read each sample varied; any error but swinkit's own goes on."""
    try:
        loaded, parts = load_parts(DataConfig(path=path))
    except SwinkitError as error:
        return bool(str(error))
    samples = [sample for part in parts.values() for sample in part]
    assert all(str(problem) for problem in loaded.problems)
    if not samples:
        return True
    config = DetectionAugmentation.around(48)
    dataset = DetectionDataset(samples, Fit(short_side=48), config, masks=loaded.has_masks)
    for index in range(len(dataset)):
        image, target, _ = dataset[index]
        assert image.isfinite().all()
        assert target.boxes_xyxy.isfinite().all()
        assert (target.boxes_xyxy[:, 2:] > target.boxes_xyxy[:, :2]).all()
        assert (target.labels >= 0).all()
        assert (target.labels < len(loaded.class_names)).all()
    return True


@RELAXED
@given(data=st.data())
def test_coco(write_coco: Callable[..., Path], coco_box: Callable[..., Any], data: Any) -> None:
    polygon = [[10.0, 5.0, 30.0, 5.0, 30.0, 15.0, 10.0, 15.0]]
    full = {"size": [40, 60], "counts": [205, 10, 40 * 60 - 215]}
    entries = [coco_box(1, 1, segmentation=polygon), coco_box(2, 2, segmentation=full)]
    file = write_coco(annotations=[*entries, coco_box(3, 2, segmentation=polygon)])
    values = json.loads(file.read_text())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places(values)))
        target = values
        for key in place[:-1]:
            target = target[key]
        target[place[-1]] = data.draw(ODD)
    file.write_text(json.dumps(values))
    assert is_read_or_refused(file.parent.parent)


@RELAXED
@given(lines=LINES)
def test_yolo(tmp_path: Path, write_image: Callable[..., Path], lines: list[str]) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / "images" / f"{name}.png")
    (tmp_path / "labels").mkdir(exist_ok=True)
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n", encoding="utf-8")
    (tmp_path / "labels" / "b.txt").write_text("\n".join(lines), encoding="utf-8")
    assert is_read_or_refused(tmp_path)


@RELAXED
@given(
    corners=st.lists(st.one_of(st.floats(), st.text("ab01.-", max_size=4)), min_size=4, max_size=4),
    size=st.one_of(st.floats(), st.integers(), st.text("0189x", max_size=3)),
    cut=st.integers(0, 400),
)
def test_voc(
    tmp_path: Path,
    write_image: Callable[..., Path],
    corners: list[Any],
    size: Any,
    cut: int,
) -> None:
    write_image(tmp_path / "JPEGImages" / "a.png")
    names = ("xmin", "ymin", "xmax", "ymax")
    box = "".join(f"<{n}>{c}</{n}>" for n, c in zip(names, corners, strict=True))
    sound = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>20</ymax></bndbox>"
    page = (
        f"<annotation><filename>a.png</filename><size><width>{size}</width><height>40</height>"
        f"</size><object><name>cat</name>{sound}</object>"
        f"<object><name>cat</name><bndbox>{box}</bndbox></object></annotation>"
    )
    folder = tmp_path / "Annotations"
    folder.mkdir(exist_ok=True)
    (folder / "a.xml").write_text(page if cut > 300 else page[: len(page) - cut])
    assert is_read_or_refused(tmp_path)


@RELAXED
@given(data=st.data())
def test_labelme(tmp_path: Path, write_image: Callable[..., Path], data: Any) -> None:
    values: dict[str, Any] = {
        "version": "5.2",
        "imagePath": "b.png",
        "imageHeight": 40,
        "imageWidth": 60,
        "shapes": [
            {"label": "cat", "shape_type": "polygon", "points": [[1, 2], [30, 2], [30, 20]]},
            {"label": "dog", "shape_type": "circle", "points": [[20, 20], [25, 20]]},
            {"label": "dog", "shape_type": "mask", "points": [[1, 1], [3, 3]], "mask": "AAAA"},
        ],
    }
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.json").write_text(json.dumps(values))
    place = data.draw(st.sampled_from(places(values)))
    target = values
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = data.draw(ODD)
    (tmp_path / "b.json").write_text(json.dumps(values))
    assert is_read_or_refused(tmp_path)


@RELAXED
@given(name=st.sampled_from(("xtl", "points", "rle", "cx", "rotation", "name", "width")), text=TEXT)
def test_cvat(tmp_path: Path, write_image: Callable[..., Path], name: str, text: str) -> None:
    write_image(tmp_path / "images" / "a.png")
    entry = {
        **{"xtl": "1", "points": "1,1;9,1;9,9", "rle": "3,3", "cx": "9", "rotation": "10"},
        **{"name": "a.png", "width": "60", name: text},
    }
    page = (
        "<annotations><image id='0' name={name} width={width} height='40'>"
        "<box label='a' xtl={xtl} ytl='2' xbr='30' ybr='20' rotation={rotation}/>"
        "<box label='a' xtl='5' ytl='2' xbr='30' ybr='20'/><polygon label='b' points={points}/>"
        "<mask label='b' rle={rle} left='1' top='2' width='3' height='2'/>"
        "<ellipse label='b' cx={cx} cy='9' rx='3' ry='4'/></image></annotations>"
    )
    quoted = {key: quoteattr(value) for key, value in entry.items()}
    (tmp_path / "annotations.xml").write_text(page.format(**quoted), encoding="utf-8")
    assert is_read_or_refused(tmp_path)


@RELAXED
@given(key=st.sampled_from(("names", "train", "val", "path", "nc", "kpt_shape")), value=ODD)
def test_data_yaml(tmp_path: Path, write_image: Callable[..., Path], key: str, value: Any) -> None:
    write_image(tmp_path / "images" / "a.png")
    (tmp_path / "labels").mkdir(exist_ok=True)
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n", encoding="utf-8")
    settings = {"names": ["cat"], "train": "images", key: value}
    # JSON is YAML, but for numbers without end.
    (tmp_path / "data.yaml").write_text(json.dumps(settings))
    assert is_read_or_refused(tmp_path)


def test_deeply_nested_json(write_coco: Callable[..., Path]) -> None:
    file = write_coco()
    text = file.read_text()
    file.write_text(text[:-1] + ', "deep": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(SwinkitError, match="nested too deep"):
        load_parts(DataConfig(path=file))
