"""Deletion and insertion of a classifier's evidence, beside pytorch-grad-cam's and a random map.

    python benchmarks/evidence.py WEIGHTS DATA [--split test] [--per-class 5] [--cuts 28]

DATA is a folder of class folders in splits; the first images of each class by name are measured.
pytorch-grad-cam (`pip install grad-cam`) follows its recipe for Swin: the first norm of the last
block, reshaped to a map. All maps are cut at the same patches, which become the mean color, and the
probability is that of the predicted class.
"""

import argparse
import statistics
from collections import defaultdict
from pathlib import Path

import torch
from pytorch_grad_cam import GradCAM
from torch import Tensor, nn

import swinkit
from swinkit.classification.model import SwinClassifier
from swinkit.explaining.evidence import areas, heat_of
from swinkit.explaining.scene import Scene, prepare_scene
from swinkit.windows.layout import move_tokens


def grad_cam(scene: Scene, model: SwinClassifier) -> Tensor:
    """pytorch-grad-cam's map, (h, w) of the first map."""

    def reshape(tokens: Tensor) -> Tensor:  # in window order, so they are brought to their rows
        plan = scene.plans[-1]
        return move_tokens(tokens, plan.leave).unflatten(1, plan.size_hw).permute(0, 3, 1, 2)

    norm = model.get_submodule(
        f"backbone.stages.{len(scene.plans) - 1}.blocks.{scene.plans[-1].depth - 1}.norm1"
    )
    with GradCAM(model=model, target_layers=[norm], reshape_transform=reshape) as cam:
        found = torch.from_numpy(cam(input_tensor=scene.image, targets=None))  # 1 H W
    return nn.functional.adaptive_avg_pool2d(found, scene.plans[0].size_hw)[0]


def main() -> None:
    """Measure and print the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--per-class", type=int, default=5)
    parser.add_argument("--cuts", type=int, default=28)
    own = parser.parse_args()
    model = swinkit.load(own.weights, report=None).eval()
    assert isinstance(model, SwinClassifier)
    folders = sorted(one for one in (own.data / own.split).iterdir() if one.is_dir())
    paths = [path for one in folders for path in sorted(one.iterdir())[: own.per_class]]
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for path in paths:
        scene = prepare_scene(model, path)
        with torch.no_grad():
            answer = model.answers(scene.image, scene.backbone(scene.image))[0]
        heat = {**heat_of(scene, answer), "pytorch-grad-cam": grad_cam(scene, model)}
        deletion, insertion = areas(scene, answer, heat, own.cuts)
        for name in heat:
            found[name].append((deletion[name], insertion[name]))
    print(f"{len(paths)} images of {own.split}, {own.cuts} cuts: deletion, insertion")
    for name, values in found.items():
        means = [statistics.fmean(column) for column in zip(*values, strict=True)]
        print(f"{name:22} {means[0]:.3f} {means[1]:.3f}")


if __name__ == "__main__":
    main()
