"""What speaks for an answer: where it lies, what it sums to, and what its areas are."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from small import photo, tiny

import swinkit
from swinkit.backbones.config import SwinConfig
from swinkit.classification.model import SwinClassifier
from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.config import RetinaHeadConfig, RetinaNetConfig
from swinkit.explaining import evidence
from swinkit.explaining.scene import prepare_scene
from swinkit.task.model import ModelInfo


class Bright(torch.nn.Module):
    """Mean of the first channel of the tokens, as the first of two logits."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        level = tokens[..., 0].mean(1)
        return torch.stack([level, -level], -1)


class BrightBox(torch.nn.Module):
    """As `Bright`, of the tokens in rows 2 to 5 and columns 8 to 11 alone, as a box reads a map."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        level = tokens.unflatten(1, (16, 16))[:, 2:6, 8:12, 0].mean((1, 2))
        return torch.stack([level, -level], -1)


def seen_by(head: torch.nn.Module, pixels: np.ndarray) -> evidence.Evidence:
    """The evidence of a classifier with that head on the brightness of patches."""
    torch.manual_seed(0)
    config = SwinConfig(
        patch_size=2, embed_dim=8, depths=(1,), num_heads=(2,), window_size=4, norm_stages=(),
        patch_norm=False,
    )  # fmt: skip
    fit = swinkit.Preprocessing(size_hw=(32, 32), resize="squash")
    model = SwinClassifier(config, num_classes=2, info=ModelInfo(preprocessing=fit))
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.ones_(model.backbone.patch_embed.projection.weight[:1])
    model.head = head  # type: ignore[assignment]
    found = swinkit.explain(model, pixels).evidence
    assert found is not None
    return found


def with_square(ground: int | tuple[int, int, int], square: int) -> np.ndarray:
    pixels = np.full((32, 32, 3), ground, np.uint8)
    pixels[4:12, 16:24] = square
    return pixels


def test_evidence_lies_where_the_class_does() -> None:
    found = seen_by(Bright(), with_square((124, 116, 104), 255))  # the mean color, rounded
    for name in ("integrated gradients", "HiResCAM"):
        heat = found.heat[name].clamp(min=0)
        assert float(heat[2:6, 8:12].sum() / heat.sum()) > 0.95
        assert found.deletion[name] < found.deletion["at random"]
        assert found.insertion[name] > found.insertion["at random"]


def test_what_the_head_does_not_read_is_no_evidence() -> None:
    """Grad-CAM's mean of the gradient over the map would make the brighter ground brighter here."""
    found = seen_by(BrightBox(), with_square(255, 200))
    for name in ("integrated gradients", "HiResCAM"):
        heat = found.heat[name]
        assert float(heat[2:6, 8:12].sum() / heat.sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("version", [1, 2])
def test_integrated_gradients_sum_to_what_the_image_adds(
    version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "BLENDS", 60)
    found = swinkit.explain(tiny(version), photo())
    assert found.evidence is not None
    image, model = found.scene.image, found.scene.model
    with torch.no_grad():
        logs = model(torch.cat([image, torch.zeros_like(image)])).log_softmax(-1)
    added = float(logs[0].max() - logs[1, logs[0].argmax()])
    assert float(found.evidence.heat["integrated gradients"].sum()) == pytest.approx(
        added, rel=0.02
    )


def test_evidence_for_a_box_lies_inside_it() -> None:
    """Of a detector that has learned one picture and is sure of its object."""
    torch.manual_seed(0)
    backbone = SwinConfig(
        embed_dim=8, depths=(1, 2, 1), num_heads=(1, 1, 2), window_size=4, norm_stages=(0, 1, 2),
        small_map_rule="keep",
    )  # fmt: skip
    config = RetinaNetConfig(
        backbone=backbone, num_classes=2, fpn_channels=16, retina=RetinaHeadConfig(num_convs=1)
    )
    model: Any = swinkit.SwinDetector.from_config(config)
    model.set_image_size(64)
    pixels = np.random.default_rng(0).integers(60, 160, (64, 96, 3)).astype(np.uint8)
    pixels[12:44, 24:56] = (250, 60, 20)
    image = prepare_scene(model, pixels).image
    wanted = InstanceTarget(
        boxes_xyxy=torch.tensor([[24.0, 12.0, 56.0, 44.0]]), labels=torch.tensor([1]),
        size_hw=(64, 96),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(60):
        optimizer.zero_grad()
        torch.stack(list(model.train().losses(image, [wanted]).values())).sum().backward()
        optimizer.step()
    found = swinkit.explain(model, pixels).evidence
    assert found is not None
    assert float(found.answer.split()[2]) > 0.5
    for name in ("integrated gradients", "HiResCAM"):
        heat = found.heat[name]
        inside = heat[3:11, 6:14]
        outside = (heat.sum() - inside.sum()) / (heat.numel() - inside.numel())
        assert float(inside.mean()) > 3 * float(outside)


@pytest.mark.parametrize("name", ["mask_rcnn_swin_nano", "retinanet_swin_nano"])
def test_a_box_has_the_score_that_the_detector_gave(name: str) -> None:
    torch.manual_seed(0)
    model = swinkit.create_detector(name, num_classes=2).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        maps = model.backbone(images)
        found = model.candidates(model.features_of(maps), [(64, 64)], 0.0)[0]
        place = int(found.scores.argmax())
        box, label = found.boxes_xyxy[place], int(found.labels[place])
        asked = model.class_probability(model.features_of(maps), box, label, (64, 64))
        both = asked(model.features_of([torch.cat([own, own]) for own in maps]))
    assert both.shape == (2,)
    if "retina" in name:  # an R-CNN looks at the box itself where it had looked at a proposal
        torch.testing.assert_close(both, found.scores[place].expand(2))


@pytest.mark.parametrize("most", [1, 3, 8])
def test_areas_are_those_of_one_image_at_a_time(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MOST_IMAGES", most)
    found = swinkit.explain(tiny(1), photo())
    own, scene = found.evidence, found.scene
    assert own is not None
    with torch.no_grad():
        label = int(scene.model(scene.image)[0].argmax())
    for name, heat in own.heat.items():
        order = heat.flatten().argsort(descending=True)
        curves: tuple[list[float], list[float]] = ([], [])
        for cut in range(evidence.CUTS + 1):
            gone = torch.zeros(heat.numel(), dtype=torch.bool)
            gone[order[: math.ceil(cut * len(order) / evidence.CUTS)]] = True
            pixels = gone.view(heat.shape).repeat_interleave(2, 0).repeat_interleave(2, 1)
            for curve, hidden in zip(curves, (pixels, ~pixels), strict=True):
                with torch.no_grad():
                    logits = scene.model(scene.image.masked_fill(hidden, 0.0))
                curve.append(float(logits.softmax(-1)[0, label]))
        for curve, area in zip(curves, (own.deletion[name], own.insertion[name]), strict=True):
            under = float(torch.trapezoid(torch.tensor(curve))) / evidence.CUTS
            assert area == pytest.approx(under, abs=1e-5)
