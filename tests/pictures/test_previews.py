import numpy as np

from swinkit.pictures.drawing import save_figure
from swinkit.pictures.figures import SeenObjects, detection_preview, segmentation_preview


def titles(figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_detection_preview_draws_boxes_masks_and_empty_images(tmp_path):
    image = np.full((40, 60, 3), 90, np.uint8)
    masks = np.zeros((1, 40, 60), np.uint8)
    masks[:, 10:20, 10:30] = 1
    boxes = np.array([[10.0, 10.0, 30.0, 20.0]], np.float32)
    nothing = SeenObjects(
        image=image[:, :, :1], boxes_xyxy=boxes[:0], labels=np.zeros(0, np.int64), masks=None
    )
    seen = [
        SeenObjects(image=image, boxes_xyxy=boxes, labels=np.array([1]), masks=masks),
        nothing,
    ]
    figure = detection_preview(seen, ("ape", "bee"))
    save_figure(figure, tmp_path / "preview.png")
    assert titles(figure) == ["1 objects", "0 objects"]
    drawn = figure.axes[0].images[0].get_array()
    assert np.unique(drawn.reshape(-1, 3), axis=0).shape[0] > 2


def test_segmentation_preview_leaves_void_black(tmp_path):
    labels = np.zeros((20, 30), np.int64)
    labels[10:] = 255
    figure = segmentation_preview([np.zeros((20, 30, 3), np.uint8)], [labels], ("sky", "road"), 255)
    save_figure(figure, tmp_path / "preview.png")
    assert titles(figure) == ["50% labeled, black does not count"]
    painted = figure.axes[1].images[0].get_array()
    assert not painted[10:].any()
    assert painted[:10].any()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["sky"]
