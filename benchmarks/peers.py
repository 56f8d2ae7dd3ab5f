"""What `swinkit benchmark` leaves out, beside other packages: training steps, dense networks.

    python benchmarks/peers.py train [--batch 16] [--rounds 7] [--threads 2]
    python benchmarks/peers.py mask_rcnn [--size 800 1216]
    python benchmarks/peers.py upernet [--size 512 512]

All have Swin-T and fresh weights, take the same tensor, and take turns within each round.
torchvision's Mask R-CNN has its own FPN and heads: once on swinkit's backbone, so that only these
differ, and once on its own. Ten classes make every proposal pass the score threshold, so that
suppression and masks have their full work; masks are pasted at the size of the input.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import torch
import torchvision
import transformers
import tyro
from rich.console import Console
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

import swinkit
from swinkit.benchmarking.contenders import OURS, Contender, Run, peer_networks
from swinkit.benchmarking.table import machine, measure, to_table
from swinkit.detection.boxes.masks import paste_masks
from swinkit.detection.boxes.suppression import best_detections, pairs_above
from swinkit.detection.model import SwinRCNN, create_detector
from swinkit.detection.network.base import Features
from swinkit.segmentation.model import create_segmenter
from swinkit.settings import SizeHW

SIZES: dict[str, SizeHW] = {"train": (224, 224), "mask_rcnn": (800, 1216), "upernet": (512, 512)}
BATCHES = {"train": 16, "mask_rcnn": 1, "upernet": 1}
WIDTHS = [96, 192, 384, 768]
NUM_CLASSES = 10  # of the detectors


def training_step(network: nn.Module) -> Run:
    """Forward, backward and a step of AdamW."""
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def learn(images: Tensor) -> None:
        with torch.inference_mode(False):  # which `measure` sets
            target = torch.randint(1000, (len(images),))
            nn.functional.cross_entropy(network(images), target).backward()
            optimizer.step()
            optimizer.zero_grad()

    return learn


def classifiers() -> dict[str, Run]:
    """A training step of each package's Swin-T."""
    makers: dict[str, Callable[[], nn.Module]] = {OURS: lambda: swinkit.create_model("swin_t")}
    return {
        name: training_step(make()) for name, make in (makers | peer_networks("swin_t")).items()
    }


class ChannelsFirst(nn.Module):
    """torchvision's Swin features, whose maps are channels-last."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torchvision.models.swin_t().features

    def forward(self, images: Tensor) -> list[Tensor]:
        found = []
        for number, layer in enumerate(self.features):
            images = layer(images)
            if number % 2:
                found.append(images.permute(0, 3, 1, 2))
        return found


class Pyramid(BackboneWithFPN):
    """Four maps of a backbone behind torchvision's FPN."""

    def __init__(self, body: nn.Module) -> None:
        nn.Module.__init__(self)
        self.body = body
        self.fpn = torchvision.ops.FeaturePyramidNetwork(WIDTHS, 256, LastLevelMaxPool())
        self.out_channels = 256

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self.fpn(
            OrderedDict((str(level), each) for level, each in enumerate(self.body(images)))
        )


def detectors(own: SwinRCNN, size_hw: SizeHW) -> dict[str, Run]:
    """swinkit's Mask R-CNN with its masks pasted, and torchvision's."""

    def detect(images: Tensor) -> None:
        for found in own(images):
            assert found.mask_probabilities is not None
            paste_masks(found.mask_probabilities, found.boxes_xyxy, size_hw)

    def peer(body: nn.Module) -> Run:
        sides = {"min_size": min(size_hw), "max_size": max(size_hw)}  # those of the tensor
        model = MaskRCNN(Pyramid(body), NUM_CLASSES + 1, **sides).eval()
        return lambda images: model(list(images))

    return {
        OURS: detect,
        "torchvision on swinkit's backbone": peer(create_detector("mask_rcnn_swin_t").backbone),
        "torchvision": peer(ChannelsFirst()),
    }


def segmenters() -> dict[str, Run]:
    """UPerNet with 512 channels, as published."""
    backbone = transformers.SwinConfig(out_features=["stage1", "stage2", "stage3", "stage4"])
    config = transformers.UperNetConfig(
        backbone_config=backbone, num_labels=150, hidden_size=512, auxiliary_in_channels=384
    )
    peer = transformers.UperNetForSemanticSegmentation(config).eval()
    return {
        OURS: create_segmenter("upernet_swin_t", num_classes=150).eval(),
        "transformers": lambda images: peer(images).logits,
    }


@torch.inference_mode()
def time_parts(model: SwinRCNN, size_hw: SizeHW, rounds: int) -> dict[str, float]:
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
        with part("backbone"):
            maps = model.backbone(image)
        with part("FPN"):
            features = Features(model.fpn(maps))
        with part("RPN"):
            proposals = model.propose(features, [size_hw])
        with part("boxes"):
            boxes, scores = model.classify(features, proposals, [size_hw])
        with part("suppression"):
            candidates, _ = pairs_above(boxes[0], scores[0], output.score_threshold)
            found = best_detections(candidates, output)
        with part("masks"):
            (masks,) = model.masks(features, [found.boxes_xyxy], [found.labels])
        with part("pasting"):
            paste_masks(masks, found.boxes_xyxy, size_hw)
    return {name: median(values) for name, values in times.items()}


@dataclass(frozen=True, kw_only=True)
class Peers:
    """Time what `swinkit benchmark` leaves out beside timm, torchvision and transformers."""

    what: tyro.conf.Positional[Literal["train", "mask_rcnn", "upernet"]]
    """A training step, or an inference of a detector or a segmenter."""
    batch: int | None = None
    """Images; by default 16 of a training step, else 1."""
    rounds: int = 7
    threads: int = 2
    size: SizeHW | None = None
    """Height and width in pixels; by default as published."""

    def run(self) -> None:
        torch.set_num_threads(self.threads)
        torch.manual_seed(0)
        size_hw, batch = self.size or SIZES[self.what], self.batch or BATCHES[self.what]
        own: Any = None
        if self.what == "mask_rcnn":
            own = create_detector("mask_rcnn_swin_t", num_classes=NUM_CLASSES).eval()
            runs = detectors(own, size_hw)
        else:
            runs = classifiers() if self.what == "train" else segmenters()
        contenders = [
            Contender(package=name, engine="eager", precision="fp32", make=lambda _, run=run: run)
            for name, run in runs.items()
        ]
        rows = measure(contenders, [batch], size_hw, 3, self.rounds, print)
        title = f"{self.what}, Swin-T, {size_hw[0]} x {size_hw[1]}; {machine()}"
        console = Console()
        console.print(to_table(rows, [batch], title))
        if own is not None:
            parts = time_parts(own, size_hw, self.rounds)
            console.print(", ".join(f"{name} {value:.0f} ms" for name, value in parts.items()))


if __name__ == "__main__":
    tyro.cli(Peers).run()
