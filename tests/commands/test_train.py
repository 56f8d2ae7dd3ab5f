import json

import pytest
from PIL import Image

from swinkit.commands.train import train_defaults
from swinkit.registry import get_task


@pytest.fixture
def boxes(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "images/a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 32, "width": 32}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81}
        ],
        "categories": [{"id": 1, "name": "cell"}],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/train.json").write_text(json.dumps(content))
    return str(tmp_path)


def test_default_recipe_fits_the_data(boxes, tmp_path):
    for arguments in (
        [boxes],
        ["--schedule.epochs", "3", boxes],
        ["--schedule.epochs=3", boxes],
        ["--data.path", boxes],
    ):
        assert train_defaults(arguments).recipe == "fine_tune_detection"
    assert train_defaults([boxes, "--recipe", "small_detection"]).recipe == "small_detection"
    assert train_defaults([]).recipe == "fine_tune"
    assert train_defaults([str(tmp_path / "nowhere")]).recipe == "fine_tune"


@pytest.mark.parametrize(
    ("arguments", "task"),
    [
        (["--task", "segmentation"], "segmentation"),
        (["--model.name", "unet_swin_t"], "segmentation"),
        (["--model.name=retinanet_swin_t"], "detection"),
        (["--recipe", "mask_rcnn_1x", "--model.name", "swin_s"], "detection"),
        (["--recipe", "paper"], "classification"),
    ],
)
def test_flags_are_those_of_the_task(arguments, task):
    config = train_defaults(arguments).config
    assert config.task == task
    assert isinstance(config, get_task(task).train_config)
