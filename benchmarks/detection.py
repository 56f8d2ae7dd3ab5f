"""Mask R-CNN with Swin-T beside torchvision's, and where the time goes.

    python benchmarks/detection.py [--rounds 5] [--size 800 1216] [--threads 2]

Both take the same tensor, pass 1000 proposals and keep 100 of them with masks, pasted at the size
of the input. torchvision's MaskRCNN gets its backbone through its own FPN wrapper: once swinkit's,
so that only neck, heads and pasting differ, and once its own Swin. Weights are random; ten classes
make every proposal pass the score threshold, so that suppression and masks have their full work.
"""

import argparse
import gc
import statistics
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from swinkit.detection.boxes.masks import paste_masks
from swinkit.detection.boxes.suppression import best_detections, pairs_above
from swinkit.detection.model import SwinDetector, SwinRCNN, create_detector
from swinkit.detection.network.base import Features

NUM_CLASSES = 10
WIDTHS = [96, 192, 384, 768]


class SwinkitPyramid(nn.Module):
    """swinkit's backbone behind torchvision's FPN."""

    out_channels = 256

    def __init__(self) -> None:
        super().__init__()
        self.body = create_detector("mask_rcnn_swin_t").backbone
        self.fpn = FeaturePyramidNetwork(WIDTHS, 256, LastLevelMaxPool())

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.body(images)
        return self.fpn(OrderedDict((str(level), each) for level, each in enumerate(maps)))


class ChannelsFirst(nn.Module):
    """torchvision's Swin features, whose maps are channels-last."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torchvision.models.swin_t().features

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        found = {}
        for number, layer in enumerate(self.features):
            images = layer(images)
            if number % 2:
                found[str(number // 2)] = images.permute(0, 3, 1, 2)
        return OrderedDict(found)


class TorchvisionPyramid(BackboneWithFPN):
    """torchvision's Swin behind torchvision's FPN."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.body = ChannelsFirst()
        self.fpn = FeaturePyramidNetwork(WIDTHS, 256, LastLevelMaxPool())
        self.out_channels = 256


def peer(pyramid: nn.Module, size_hw: tuple[int, int]) -> Callable[[Tensor], object]:
    """torchvision's Mask R-CNN, fed as is: the tensor already has its size."""
    model = MaskRCNN(pyramid, NUM_CLASSES + 1, min_size=min(size_hw), max_size=max(size_hw)).eval()
    return lambda image: model([image])


def own(model: SwinDetector, size_hw: tuple[int, int]) -> Callable[[Tensor], object]:
    """swinkit's, with its masks pasted."""

    def detect(image: Tensor) -> Tensor:
        (found,) = model(image[None])
        assert found.mask_probabilities is not None
        return paste_masks(found.mask_probabilities, found.boxes_xyxy, size_hw)

    return detect


def time_models(
    size_hw: tuple[int, int], rounds: int, model: SwinDetector
) -> dict[str, list[float]]:
    """Milliseconds of every model in every round, in turns, after one warm-up round."""
    runs = {
        "swinkit": own(model, size_hw),
        "torchvision, swinkit's backbone": peer(SwinkitPyramid(), size_hw),
        "torchvision, its own Swin": peer(TorchvisionPyramid(), size_hw),
    }
    image = torch.rand(3, *size_hw)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            gc.collect()
            start = time.perf_counter()
            with torch.inference_mode():
                run(image)
            if turn:
                times[name].append((time.perf_counter() - start) * 1e3)
    return times


def time_parts(size_hw: tuple[int, int], rounds: int, model: SwinRCNN) -> dict[str, float]:
    """Median milliseconds of each part of swinkit's detector."""
    times: dict[str, list[float]] = {}

    @contextmanager
    def part(name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        times.setdefault(name, []).append((time.perf_counter() - start) * 1e3)

    image = torch.rand(1, 3, *size_hw)
    output = model.config.output
    for _ in range(rounds):
        with torch.inference_mode():
            with part("backbone"):
                maps = model.backbone(image)
            with part("FPN"):
                features = Features(model.fpn(maps))
            with part("RPN"):
                proposals = model.propose(features, [size_hw])
            with part("RoI boxes"):
                boxes, scores = model.classify(features, proposals, [size_hw])
            with part("suppression"):
                candidates, _ = pairs_above(boxes[0], scores[0], output.score_threshold)
                found = best_detections(candidates, output)
            with part("masks"):
                (masks,) = model.masks(features, [found.boxes_xyxy], [found.labels])
            with part("paste"):
                paste_masks(masks, found.boxes_xyxy, size_hw)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, nargs=2, default=[800, 1216])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    size_hw = (options.size[0], options.size[1])
    model = create_detector("mask_rcnn_swin_t", num_classes=NUM_CLASSES).eval()
    assert isinstance(model, SwinRCNN)
    times = time_models(size_hw, options.rounds, model)
    print(
        f"Mask R-CNN, Swin-T, {size_hw[0]}x{size_hw[1]}, float32, {options.threads} threads, "
        f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    )
    median = {name: statistics.median(values) for name, values in times.items()}
    for name, value in median.items():
        print(
            f"  {name:32s} {value:7.0f} ms (min {min(times[name]):.0f})"
            f"   swinkit is {value / median['swinkit']:.2f}x as fast"
        )
    print("swinkit, part by part")
    for name, value in time_parts(size_hw, options.rounds, model).items():
        print(f"  {name:32s} {value:7.0f} ms")


if __name__ == "__main__":
    main()
