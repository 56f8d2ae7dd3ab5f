"""Other networks from scratch, for a given time, on the data of a run.

    python benchmarks/from_scratch.py DATA MODEL [--minutes 20] [--short-side 320] [--threads 2]

MODEL is fasterrcnn_mobilenet_v3_large_fpn, maskrcnn_resnet50_fpn, lraspp_mobilenet_v3_large or
deeplabv3_resnet50 of torchvision; for classes resnet18, a timm name as timm/convnext_atto, or
small_resnet, a residual network of 40 lines for pictures of 32 pixels. It learns from swinkit's
data sets with swinkit's variation of images and is scored by swinkit's evaluation, so that what
differs from `swinkit train DATA --minutes` is the network. AdamW, a learning rate that rises over
5 % of the time and then falls along half a cosine, gradients clipped at 5, in bfloat16 where the
processor multiplies in it, as the recipes do. The test split is measured once, at the end.
"""

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.data import DataLoader

from swinkit.classification.data.dataset import ClassificationDataset, train_transform
from swinkit.classification.data.splits import load_classification
from swinkit.classification.train_config import ClassificationTrainConfig
from swinkit.data.config import DataConfig
from swinkit.data.loading import build_loader
from swinkit.detection.data.dataset import DetectionBatch, DetectionDataset, collate_detection
from swinkit.detection.data.splits import load_detection
from swinkit.detection.evaluate.coco import CocoEvaluator
from swinkit.detection.result import Detections, InstanceMasks
from swinkit.detection.train_config import DetectionAugmentation
from swinkit.images.fitting import Fit
from swinkit.images.preprocessing import Preprocessing
from swinkit.images.reading import read_image
from swinkit.registry import recognize
from swinkit.segmentation.data.dataset import SegmentationDataset, collate_segmentation
from swinkit.segmentation.data.splits import load_segmentation
from swinkit.segmentation.evaluate.scores import SegmentationEvaluator
from swinkit.segmentation.train_config import SegmentationAugmentation
from swinkit.training.processes import find_precision
from swinkit.training.recipes import load_recipe

WARM_UP = 0.05
LONG_SIDE = 2  # times the short side


class Peer:
    """A network that learns, and the numbers it reaches."""

    network: nn.Module
    loader: DataLoader

    def loss(self, batch: object) -> Tensor:
        """Of one batch."""
        return torch.zeros(())

    def scores(self) -> dict[str, float]:
        """Of the test split."""
        return {}


class SmallResNet(nn.Sequential):
    """Three stages of a residual block each, 0.5 M parameters, for pictures of about 32 pixels."""

    def __init__(self, num_classes: int, width: int = 32) -> None:
        stages: list[nn.Module] = [*self.unit(3, width), nn.ReLU()]
        for number in range(3):
            own = width * 2**number
            if number:
                stages += [*self.unit(own // 2, own, stride=2), nn.ReLU()]
            stages += [
                Residual(nn.Sequential(*self.unit(own, own), nn.ReLU(), *self.unit(own, own)))
            ]
        pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        super().__init__(*stages, *pool, nn.Linear(width * 4, num_classes))

    @staticmethod
    def unit(taken: int, given: int, stride: int = 1) -> list[nn.Module]:
        """A convolution and a norm."""
        convolution = nn.Conv2d(taken, given, 3, stride=stride, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(given)]


class Residual(nn.Module):
    """ReLU(x + inner(x))."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(x + self.inner(x))


class ClassificationPeer(Peer):
    """A network with logits, with the crops and flips of the recipe `small_data`."""

    def __init__(self, data: DataConfig, name: str, options: argparse.Namespace) -> None:
        splits = load_classification(data)
        classes, side = len(splits.class_names), options.short_side
        self.test = splits.test or splits.val
        self.preprocessing = Preprocessing.for_size(side)
        recipe = load_recipe("small_data", data)
        assert isinstance(recipe, ClassificationTrainConfig)
        dataset = ClassificationDataset(
            splits.train, train_transform(recipe.augmentation, self.preprocessing), channels=3
        )
        self.smoothing = recipe.augmentation.label_smoothing
        self.loader = build_loader(
            dataset, batch_size=options.batch_size, shuffle=True, workers=0, drop_last=True
        )
        if name == "small_resnet":
            self.network = SmallResNet(classes)
        elif name.startswith("timm/"):
            import timm

            self.network = timm.create_model(name.removeprefix("timm/"), num_classes=classes)
        else:
            self.network = getattr(torchvision.models, name)(num_classes=classes)

    def loss(self, batch: object) -> Tensor:
        images, labels, _ = batch  # type: ignore[misc]
        logits = self.network(images)
        return nn.functional.cross_entropy(logits, labels, label_smoothing=self.smoothing)

    def scores(self) -> dict[str, float]:
        right = 0
        for sample in self.test:
            values = torch.from_numpy(self.preprocessing(read_image(sample.path)))
            right += int(self.network(values[None]).argmax(1)) == sample.label
        return {"top1": right / len(self.test)}


class DetectionPeer(Peer):
    """torchvision's Faster or Mask R-CNN."""

    def __init__(self, data: DataConfig, name: str, options: argparse.Namespace) -> None:
        splits = load_detection(data)
        self.masks = name.startswith("mask")
        self.class_names, self.test = splits.class_names, splits.test or splits.val
        self.most = options.max_detections
        side = options.short_side
        self.fit = Fit(short_side=side, long_side=LONG_SIDE * side)
        dataset = DetectionDataset(
            splits.train + (splits.val if splits.test else []),
            self.fit,
            DetectionAugmentation.around(side),
            masks=self.masks,
        )
        self.loader = build_loader(
            dataset,
            batch_size=options.batch_size,
            shuffle=True,
            workers=1,
            drop_last=True,
            collate=collate_detection,
        )
        self.network = getattr(torchvision.models.detection, name)(
            weights=None,
            weights_backbone=None,
            num_classes=len(self.class_names) + 1,
            min_size=side,
            max_size=LONG_SIDE * side,
            image_mean=[0.0, 0.0, 0.0],  # the data set has normalised already
            image_std=[1.0, 1.0, 1.0],
            box_detections_per_img=self.most,
            _skip_resize=True,
        )

    def loss(self, batch: object) -> Tensor:
        assert isinstance(batch, DetectionBatch)
        images, targets = [], []
        for image, target in zip(batch.images, batch.targets, strict=True):
            height, width = target.size_hw
            images.append(image[:, :height, :width])
            entry = {"boxes": target.boxes_xyxy, "labels": target.labels + 1}
            if target.masks is not None:
                entry["masks"] = target.masks[:, :height, :width]
            targets.append(entry)
        return sum(self.network(images, targets).values(), torch.zeros(()))

    def scores(self) -> dict[str, float]:
        evaluator = CocoEvaluator(self.test, self.class_names, max_detections=self.most)
        for sample in self.test:
            image = read_image(sample.path)
            fitted = self.fit(image)
            height, width = fitted.size_hw
            (found,) = self.network([torch.from_numpy(fitted.values[:, :height, :width])])
            evaluator.update([(sample.image_id, self.result(found, fitted.scale_wh, sample))])
        result = evaluator.compute()
        scores = {"box_ap": result.box.ap, "box_ap50": result.box.ap50}
        if result.mask is not None:
            scores |= {"mask_ap": result.mask.ap, "mask_ap50": result.mask.ap50}
        return scores

    def result(self, found: dict[str, Tensor], scale_wh: object, sample: object) -> Detections:
        """In original pixels."""
        size_hw = sample.size_hw  # type: ignore[attr-defined]
        boxes = found["boxes"] / torch.tensor([*scale_wh, *scale_wh])  # type: ignore[misc]
        boxes[:, 0::2].clamp_(0, size_hw[1])
        boxes[:, 1::2].clamp_(0, size_hw[0])
        entries = {
            "class_names": self.class_names,
            "boxes_xyxy": boxes.numpy(),
            "scores": found["scores"].numpy(),
            "labels": found["labels"].numpy() - 1,
            "size_hw": size_hw,
        }
        if not self.masks:
            return Detections(**entries)
        masks = nn.functional.interpolate(found["masks"], size_hw, mode="bilinear")[:, 0] >= 0.5
        return InstanceMasks(**entries, masks=masks.numpy())


class SegmentationPeer(Peer):
    """torchvision's LR-ASPP or DeepLabV3."""

    def __init__(self, data: DataConfig, name: str, options: argparse.Namespace) -> None:
        splits = load_segmentation(data)
        self.class_names, self.test = splits.class_names, splits.test or splits.val
        side = options.short_side
        self.fit = Fit(short_side=side, long_side=4 * side, divisor=1)
        dataset = SegmentationDataset(
            splits.train + (splits.val if splits.test else []),
            self.fit,
            SegmentationAugmentation(crop_hw=(side, side)),
        )
        self.loader = build_loader(
            dataset,
            batch_size=options.batch_size,
            shuffle=True,
            workers=1,
            drop_last=True,
            collate=collate_segmentation,
        )
        self.network = getattr(torchvision.models.segmentation, name)(
            weights=None, weights_backbone=None, num_classes=len(self.class_names)
        )

    def loss(self, batch: object) -> Tensor:
        images, labels, _ = batch  # type: ignore[misc]
        return nn.functional.cross_entropy(self.network(images)["out"], labels, ignore_index=255)

    def scores(self) -> dict[str, float]:
        evaluator = SegmentationEvaluator(self.class_names, boundary_tolerance=None)
        for sample in self.test:
            values = torch.from_numpy(self.fit(read_image(sample.path)).values)
            truth = sample.labels()
            logits = nn.functional.interpolate(
                self.network(values[None])["out"], truth.shape, mode="bilinear"
            )
            evaluator.update(logits[0].argmax(0), np.asarray(truth))
        found = evaluator.compute()
        return {"miou": found.miou, "pixel_accuracy": found.pixel_accuracy}


def endless(loader: DataLoader) -> Iterator[object]:
    """Batches, epoch after epoch."""
    epoch = 0
    while True:
        loader.sampler.set_epoch(epoch)  # type: ignore[union-attr]
        yield from loader
        epoch += 1


def learn(peer: Peer, minutes: float, lr: float, *, bf16: bool) -> int:
    """Train for that long; the number of steps."""
    network = peer.network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=0.05)
    started, steps = time.perf_counter(), 0
    for batch in endless(peer.loader):
        done = (time.perf_counter() - started) / (60 * minutes)
        if done >= 1:
            break
        factor = done / WARM_UP if done < WARM_UP else 0.5 * (1 + math.cos(math.pi * done))
        for group in optimizer.param_groups:
            group["lr"] = lr * max(factor, 1e-3)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = peer.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        steps += 1
        if steps % 20 == 1:
            print(
                f"  {60 * minutes * done:6.0f} s  step {steps}  loss {loss.item():.3f}", flush=True
            )
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("model")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--short-side", type=int, default=320)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--max-detections", type=int, default=100)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    data = DataConfig(path=options.data)
    kinds = {"classification": ClassificationPeer, "segmentation": SegmentationPeer}
    peer = kinds.get(recognize(data.path).task, DetectionPeer)(data, options.model, options)
    bf16 = find_precision(options.precision, "cpu") == "bf16"
    steps = learn(peer, options.minutes, options.lr, bf16=bf16)
    peer.network.eval()
    with torch.inference_mode():
        scores = peer.scores()
    print(f"{options.model}, {options.minutes:g} minutes, {steps} steps of {options.batch_size}")
    print("  " + "  ".join(f"{name} {value:.4f}" for name, value in scores.items()))


if __name__ == "__main__":
    main()
