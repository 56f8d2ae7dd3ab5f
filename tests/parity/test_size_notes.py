"""The note of `load` on image sizes is true: equal where it says so, else different."""

import re
from typing import Any

import pytest
import torch
from checkpoint_peers import huggingface, strengthen, timm_v1, timm_v2, torchvision_swin
from torch import nn

from swinkit.checkpoints.load import load
from swinkit.settings import SizeHW

TIMM_SIZES = [(224, 224), (256, 256), (448, 448), (112, 112), (224, 256)]


def noted(peer: nn.Module, **settings: Any) -> tuple[nn.Module, str]:
    reports: list[Any] = []
    model = load(dict(peer.state_dict()), report=reports.append, **settings)
    return model, next(note for note in reports[0].notes if note.startswith("outputs equal"))


def sides_of(note: str) -> set[int]:
    """The sides that a note names."""
    text = note.partition(" pixels;")[0].partition("width ")[2]
    found: set[int] = set()
    for low, high in re.findall(r"(\d+)(?: to (\d+))?", text):
        found |= set(range(int(low), int(high or low) + 1))
    return found


def difference(model: nn.Module, peer: nn.Module, size: SizeHW, **settings: Any) -> float:
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        theirs = peer(image, **settings)
        theirs = getattr(theirs, "logits", theirs)
        return float((model(image) - theirs).abs().max() / theirs.std())


def check(difference: float, *, equal: bool) -> None:
    assert difference <= 1e-5 if equal else difference > 1e-4


@pytest.mark.parametrize("built", [224, 256, 448])
def test_timm_v1(built: int) -> None:
    peer = timm_v1(built, 7, strict_img_size=False)
    model, note = noted(peer, image_size=built)
    sides = sides_of(note)
    assert (224 in sides) == (built == 224)
    for size in TIMM_SIZES:
        check(difference(model, peer, size), equal=set(size) <= sides)


def test_timm_v2() -> None:
    peer = timm_v2(256, 8, strict_img_size=False)
    model, note = noted(peer, image_size=256, window_size=8, pretrained_window_size=0)
    sides = sides_of(note)
    assert sides == {256}
    for size in [(256, 256), (384, 384), (256, 288)]:
        check(difference(model, peer, size), equal=set(size) <= sides)


@pytest.mark.parametrize("version", [1, 2])
def test_torchvision(version: int) -> None:
    peer = torchvision_swin(version)
    settings: dict[str, Any] = {"pretrained_window_size": 0} if version == 2 else {}
    model, note = noted(peer, **settings)
    assert "multiples of 4 pixels" in note
    for size in [(224, 192), (228, 100), (225, 190), (227, 224)]:
        check(difference(model, peer, size), equal=not (size[0] % 4 or size[1] % 4))


def test_transformers_v2() -> None:
    peer = strengthen(huggingface(2, image_size=256))
    model, note = noted(peer, image_size=256, window_size=8, pretrained_window_size=0)
    sides = sides_of(note)
    assert sides == set(range(129, 257))
    for size in [(256, 256), (200, 180), (131, 256), (320, 320), (96, 96)]:
        found = difference(model, peer, size, interpolate_pos_encoding=True)
        check(found, equal=set(size) <= sides)
