"""Sound files of each kind that a user brings, and what is done with them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

import swinkit
from swinkit.classification.data.splits import load_classification
from swinkit.data.config import DataConfig
from swinkit.detection.data.splits import load_detection
from swinkit.images.reading import read_image
from swinkit.registry import recognize
from swinkit.segmentation.data.splits import load_segmentation
from swinkit.training.recipes import load_recipe

HALVES = np.repeat(np.array([[5, 0, 0], [6, 0, 0]], np.uint8), 16, axis=0)  # panoptic ids


@dataclass(frozen=True)
class Seed:
    """Writes files into a folder and returns those to damage; then `use` reads the folder."""

    write: Callable[[Path], list[Path]]
    use: Callable[[Path], object]


def pictures(folder: Path, count: int = 4, suffix: str = ".png") -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}{suffix}" for number in range(count)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8)).save(path)
    return paths


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def coco(folder: Path) -> list[Path]:
    pictures(folder / "train")
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 32, "height": 24} for i in range(4)],
        "annotations": [
            {
                "id": i,
                "image_id": i,
                "category_id": 1 + i % 2,
                "bbox": [2, 3, 10, 9],
                "area": 90,
                "iscrowd": 0,
                "segmentation": [[2, 3, 12, 3, 12, 12, 2, 12]],
            }
            for i in range(4)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    return [text(folder / "train.json", json.dumps(content))]


def voc(folder: Path) -> list[Path]:
    pictures(folder / "JPEGImages")
    page = (
        "<annotation><filename>{0}.png</filename><size><width>32</width><height>24</height>"
        "<depth>3</depth></size><object><name>cat</name><difficult>0</difficult><bndbox>"
        "<xmin>2</xmin><ymin>3</ymin><xmax>12</xmax><ymax>13</ymax></bndbox></object></annotation>"
    )
    pages = [text(folder / "Annotations" / f"{i}.xml", page.format(i)) for i in range(4)]
    lists = folder / "ImageSets" / "Main"
    return [*pages, text(lists / "train.txt", "0\n1\n2\n"), text(lists / "val.txt", "3\n")]


def yolo(folder: Path) -> list[Path]:
    for split in ("train", "valid"):
        pictures(folder / split / "images")
    labels = [
        text(folder / split / "labels" / f"{i}.txt", "0 0.5 0.5 0.4 0.3\n1 .2 .2 .4 .2 .4 .4\n")
        for split in ("train", "valid")
        for i in range(4)
    ]
    settings = {"train": "train/images", "val": "valid/images", "names": ["cat", "dog"], "nc": 2}
    return [*labels, text(folder / "data.yaml", yaml.safe_dump(settings))]


def labelme(folder: Path) -> list[Path]:
    pictures(folder)
    shape = {"label": "cat", "points": [[2, 3], [12, 13]], "shape_type": "rectangle"}
    return [
        text(
            folder / f"{i}.json",
            json.dumps(
                {"imagePath": f"{i}.png", "imageWidth": 32, "imageHeight": 24, "shapes": [shape]}
            ),
        )
        for i in range(4)
    ]


def lists(folder: Path) -> list[Path]:
    pictures(folder / "photos", 6)
    rows = "".join(
        f"photos/{i}.png,{'ab'[i % 2]},{'train' if i < 4 else 'val'}\n" for i in range(6)
    )
    return [text(folder / "list.csv", "path,label,split\n" + rows)]


def masks(folder: Path) -> list[Path]:
    pictures(folder / "images")
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    values = np.tile(np.repeat(np.array([0, 1, 2, 255], np.uint8), 8), (24, 1))
    for i in range(4):
        Image.fromarray(values).save(folder / "masks" / f"{i}.png")
    legend = text(folder / "legend.csv", "name,r,g,b\nsky,0,0,0\nroad,1,1,1\ncar,2,2,2\n")
    return [legend, folder / "masks" / "0.png"]


def panoptic(folder: Path) -> list[Path]:
    pictures(folder / "train2017", suffix=".jpg")
    maps = folder / "annotations" / "panoptic_train2017"
    maps.mkdir(parents=True, exist_ok=True)
    for i in range(4):
        Image.fromarray(np.tile(HALVES, (24, 1, 1))).save(maps / f"{i}.png")
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(4)],
        "annotations": [
            {
                "image_id": i,
                "file_name": f"{i}.png",
                "segments_info": [{"id": 5, "category_id": 1}, {"id": 6, "category_id": 2}],
            }
            for i in range(4)
        ],
        "categories": [{"id": 1, "name": "sky"}, {"id": 2, "name": "road"}],
    }
    return [text(folder / "annotations" / "panoptic_train2017.json", json.dumps(content))]


def recipe(folder: Path) -> list[Path]:
    shipped = Path(swinkit.__file__).parent / "recipes" / "small_detection.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(shipped, folder / "recipe.yaml")
    return [folder / "recipe.yaml"]


def weights(folder: Path) -> list[Path]:
    config = swinkit.SwinConfig(
        embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=2, norm_stages=(1,)
    )
    folder.mkdir(parents=True, exist_ok=True)
    model = swinkit.SwinClassifier(config, num_classes=2)
    return [swinkit.save(model, folder / "weights.safetensors")]


def photo(folder: Path) -> list[Path]:
    return [*pictures(folder, 1, ".png"), *pictures(folder, 1, ".jpg")]


def read_photos(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        read_image(path)


def data_reader(load: Callable[[DataConfig], object], name: str = "") -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        recognize(folder / name)
        return load(DataConfig(path=folder / name))

    return read


SEEDS = {
    "coco": Seed(coco, data_reader(load_detection)),
    "voc": Seed(voc, data_reader(load_detection)),
    "yolo": Seed(yolo, data_reader(load_detection)),
    "labelme": Seed(labelme, data_reader(load_detection)),
    "lists": Seed(lists, data_reader(load_classification, "list.csv")),
    "masks": Seed(masks, data_reader(load_segmentation)),
    "panoptic": Seed(panoptic, data_reader(load_segmentation)),
    "recipe": Seed(recipe, lambda folder: load_recipe(folder / "recipe.yaml", folder)),
    "weights": Seed(
        weights, lambda folder: swinkit.load(folder / "weights.safetensors", report=None)
    ),
    "photo": Seed(photo, read_photos),
}
