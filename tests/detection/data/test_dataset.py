"""The data set: items, batches, repeatability, bad images; and the shapes it is shown on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from demo_shapes import CLASS_NAMES, write_shapes
from swinkit import create_detector
from swinkit.data.config import DataConfig
from swinkit.data.loading import build_loader
from swinkit.detection.data.dataset import DetectionDataset, collate_detection
from swinkit.detection.data.splits import DetectionSplits, load_detection
from swinkit.detection.train_config import DetectionAugmentation
from swinkit.errors import DataError, ImageError
from swinkit.images.fitting import Fit

FIT = Fit(short_side=96, long_side=200)
AUGMENTATION = replace(DetectionAugmentation.around(96), copy_paste_probability=0.5)


@pytest.fixture(scope="module")
def shapes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    return write_shapes(folder, train=8, val=3, test=2, size_hw=(64, 80), seed=1)


@pytest.fixture(scope="module")
def splits(shapes_folder: Path) -> DetectionSplits:
    return load_detection(DataConfig(path=shapes_folder))


def test_shapes_are_sound(splits: DetectionSplits) -> None:
    assert splits.problems == ()
    assert splits.class_names == CLASS_NAMES
    assert splits.has_masks
    assert [len(part) for part in splits.by_name().values()] == [8, 3, 2]
    for sample in splits.train:
        masks = sample.masks()
        assert masks.sum(axis=0).max() == 1
        assert masks.sum(axis=(1, 2)).tolist() == sample.areas.tolist()


def test_shapes_follow_the_seed(shapes_folder: Path, tmp_path: Path) -> None:
    more = write_shapes(tmp_path / "a", train=9, val=1, test=0, size_hw=(64, 80), seed=1)
    other = write_shapes(tmp_path / "b", train=8, val=3, test=2, size_hw=(64, 80), seed=2)

    def bytes_of(folder: Path) -> bytes:
        return (folder / "images" / "train_00003.png").read_bytes()

    assert bytes_of(more) == bytes_of(shapes_folder)
    assert bytes_of(other) != bytes_of(shapes_folder)
    stamp = (more / "annotations" / "train.json").stat().st_mtime_ns
    write_shapes(more, train=9, val=1, test=0, size_hw=(64, 80), seed=1)
    assert (more / "annotations" / "train.json").stat().st_mtime_ns == stamp
    write_shapes(more, train=2, val=1, test=0, size_hw=(64, 80), seed=1)
    assert len(json.loads((more / "annotations" / "train.json").read_text())["images"]) == 2


def test_shapes_of_impossible_numbers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train and val need one or more"):
        write_shapes(tmp_path, train=0)


def test_evaluation_item(splits: DetectionSplits) -> None:
    dataset = DetectionDataset(splits.val, FIT, masks=True)
    image, target, index = dataset[1]
    sample = splits.val[1]
    assert index == 1
    assert image.shape == (3, 96, 120)
    assert target.size_hw == (96, 120)
    torch.testing.assert_close(target.boxes_xyxy, torch.from_numpy(sample.boxes_xyxy) * 1.5)
    assert target.labels.tolist() == sample.labels.tolist()
    assert target.masks is not None
    assert target.masks.shape == (len(sample), 96, 120)
    assert target.masks.dtype == torch.uint8


def test_training_items_repeat_with_seed_and_epoch_only(splits: DetectionSplits) -> None:
    first = DetectionDataset(splits.train, FIT, AUGMENTATION, masks=True, seed=3)
    again = DetectionDataset(splits.train, FIT, AUGMENTATION, masks=True, seed=3)
    expected = [first[index] for index in range(8)]
    for index in (5, 2, 7):
        image, target, _ = again[index]
        assert torch.equal(image, expected[index][0])
        assert torch.equal(target.boxes_xyxy, expected[index][1].boxes_xyxy)
    first.set_epoch(1)
    assert any(
        first[index][0].shape != expected[index][0].shape
        or not torch.equal(first[index][0], expected[index][0])
        for index in range(3)
    )


def test_targets_have_one_mask_a_box(splits: DetectionSplits) -> None:
    dataset = DetectionDataset(splits.train, FIT, AUGMENTATION, masks=True)
    for epoch in range(4):
        dataset.set_epoch(epoch)
        for index in range(len(dataset)):
            _, target, _ = dataset[index]
            assert target.masks is not None
            assert len(target.masks) == len(target.boxes_xyxy) == len(target.labels)
            assert target.masks.flatten(1).any(dim=1).all()


def test_batch_is_padded_with_the_mean_color(splits: DetectionSplits) -> None:
    dataset = DetectionDataset(splits.train, FIT, AUGMENTATION)
    items = [dataset[index] for index in range(4)]
    batch = collate_detection(items)
    assert len(batch) == 4
    assert all(side % 32 == 0 for side in batch.images.shape[2:])
    for image, (values, target, _) in zip(batch.images, items, strict=True):
        height, width = target.size_hw
        assert torch.equal(image[:, :height, :width], values)
        assert not image[:, height:].any()
        assert not image[:, :, width:].any()
    assert batch.to("cpu").sizes_hw == [target.size_hw for _, target, _ in items]
    assert batch.indices.tolist() == [0, 1, 2, 3]


def test_loader_with_workers_gives_the_same(splits: DetectionSplits) -> None:
    def images(workers: int) -> list[torch.Tensor]:
        dataset = DetectionDataset(splits.train, FIT, AUGMENTATION, masks=True)
        loader = build_loader(
            dataset, batch_size=3, shuffle=True, workers=workers, collate=collate_detection
        )
        return [batch.images for batch in loader]

    for one, other in zip(images(0), images(2), strict=True):
        assert torch.equal(one, other)


def test_crowds_are_ignored_regions(splits: DetectionSplits) -> None:
    sample = next(sample for sample in splits.train if len(sample) > 1)
    crowd = np.zeros(len(sample), bool)
    crowd[0] = True
    dataset = DetectionDataset([replace(sample, is_crowd=crowd)], FIT, masks=True)
    _, target, _ = dataset[0]
    assert len(target) == len(sample) - 1
    assert target.ignored_xyxy.shape == (1, 4)


def test_an_outline_without_pixels_is_ignored(splits: DetectionSplits) -> None:
    from swinkit.detection.data.rle import Segment

    sample = splits.train[0]
    sliver = Segment(polygons=(np.array([3.0, 3.0, 30.0, 3.01, 3.0, 3.02]),))
    segments = (sliver, *sample.segments[1:])
    dataset = DetectionDataset([replace(sample, segments=segments)], FIT, masks=True)
    assert len(dataset[0][1]) == len(sample) - 1


def test_masks_that_do_not_exist(splits: DetectionSplits) -> None:
    sample = replace(splits.train[0], segments=None)
    assert DetectionDataset([sample], FIT)[0][1].masks is None
    with pytest.raises(DataError, match="boxes but no masks"):
        DetectionDataset([sample], FIT, masks=True)


def test_an_image_that_changed_since(
    splits: DetectionSplits, write_image: Callable[..., Path], tmp_path: Path
) -> None:
    changed = replace(splits.train[0], path=write_image(tmp_path / "other.png", (30, 30)))
    absent = replace(splits.train[0], path=tmp_path / "absent.png")
    dataset = DetectionDataset([changed, absent, splits.train[1]], FIT, AUGMENTATION)
    for epoch in range(4):
        dataset.set_epoch(epoch)
        assert dataset[0][2] == 2
        assert dataset[1][2] == 2
        assert dataset[2][2] == 2
    assert dataset.bad_samples() == [changed, absent]
    strict = DetectionDataset([changed], FIT, on_bad_image="refuse")
    with pytest.raises(ImageError, match="is 30x30"):
        strict[0]


def test_objects_without_outline_teach_their_boxes_alone(splits: DetectionSplits) -> None:
    """Their rectangles are in nobody's mask loss; flat boxes teach nothing at all."""
    sample = next(sample for sample in splits.train if len(sample) > 1)
    bare = replace(sample, segments=(None, *sample.segments[1:]))
    dataset = DetectionDataset([bare], FIT, masks=True)
    _, target, _ = dataset[0]
    assert target.box_only is not None
    assert target.box_only.tolist() == [True] + [False] * (len(sample) - 1)
    assert DetectionDataset([sample], FIT, masks=True)[0][1].box_only is None
    boxes = sample.boxes_xyxy.copy()
    boxes[0, 2] = boxes[0, 0]
    assert len(DetectionDataset([replace(sample, boxes_xyxy=boxes)], FIT)[0][1]) == len(sample) - 1
    augmented = DetectionDataset([bare, sample], FIT, AUGMENTATION, masks=True)
    for epoch in range(6):
        augmented.set_epoch(epoch)
        for index in range(2):
            found = augmented[index][1]
            assert found.box_only is None or len(found.box_only) == len(found)
    model = create_detector("mask_rcnn_swin_nano", num_classes=len(CLASS_NAMES)).train()
    batch = collate_detection([dataset[0]])
    only = replace(batch.targets[0], box_only=torch.ones(len(sample), dtype=torch.bool))
    torch.manual_seed(0)
    assert model.losses(batch.images, [only])["s0_mask"] == 0
    torch.manual_seed(0)
    assert model.losses(batch.images, batch.targets)["s0_mask"] > 0
