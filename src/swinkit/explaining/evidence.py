"""What in the image speaks for an answer: Grad-CAM, and attention weighted by its gradient.

Both are followed through the network's own maps and windows, so no function has to reshape tokens.

Legend: H W pixels, h w tokens of a map, C channels, nW windows, N heads, T tokens per window.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.explaining.attention import pass_back, to_children
from swinkit.explaining.scene import Scene
from swinkit.task.model import Answer

CUTS = 6  # steps from the whole image to the empty one
# Of images with hidden parts that go through the model together: more are no faster.
MOST_IMAGES, MOST_PIXELS = 8, 8 * 256 * 256
METHODS = ("Grad-CAM", "attention x gradient", "at random")


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """What speaks for one answer.

    Attributes:
        answer: its name.
        heat: by method, (h, w) of the first map, at least 0.
        deletion: by method, the area under the answer's probability while the patches that speak
            for it most become the mean color first; small is good.
        insertion: the same while they appear first on the mean color; large is good.
    """

    answer: str
    heat: Mapping[str, Tensor]
    deletion: Mapping[str, float]
    insertion: Mapping[str, float]


def find_evidence(scene: Scene, number: int = 0) -> Evidence | None:
    """For the best answer of the model, or another one; None where it has none such."""
    with torch.no_grad():
        answers = scene.model.answers(scene.image, scene.backbone(scene.image))
    if number >= len(answers):
        return None
    answer = answers[number]
    cam, attention = _by_gradient(scene, answer)
    chance = torch.rand(cam.shape, generator=torch.Generator().manual_seed(0))
    heat = dict(zip(METHODS, (cam, attention, chance), strict=True))
    deletion, insertion = _areas(scene, answer, heat)
    return Evidence(answer=answer.name, heat=heat, deletion=deletion, insertion=insertion)


def _by_gradient(scene: Scene, answer: Answer) -> tuple[Tensor, Tensor]:
    """Grad-CAM (1610.02391) of all maps that the head reads, and what flows back from there along
    attention times its positive gradient (after 2103.15679); (h, w) of the first map each."""
    stages = range(len(scene.plans))
    names = [f"norms.{stage}" for stage in stages]
    names += [f"stages.{stage}.blocks.{block}.attention" for stage, block in scene.blocks()]
    image = scene.image.detach().clone().requires_grad_()
    with torch.enable_grad():
        values = scene.backbone.intermediates(image, names, through_attention=True)
        maps = [values[f"norms.{stage}"].permute(0, 3, 1, 2) for stage in stages]
        score = answer.score(image, maps)[0]
        slopes = torch.autograd.grad(score, list(values.values()), allow_unused=True)
    size_hw = scene.plans[0].size_hw
    cam, share = torch.zeros(size_hw), torch.zeros(scene.plans[-1].size_hw)
    slope_of = {
        name: torch.zeros_like(values[name]).cpu() if own is None else own.float().cpu()
        for name, own in zip(values, slopes, strict=True)
    }
    for stage in reversed(stages):
        own = values[f"norms.{stage}"].detach().float().cpu()[0]  # h w C
        slope = slope_of[f"norms.{stage}"][0]
        heat = (slope.mean((0, 1)) * own).sum(-1).clamp(min=0)[None, None]  # 1 1 h w
        cam += F.interpolate(heat, size_hw, mode="bilinear", align_corners=False)[0, 0]
        share = share + (slope * own).sum(-1).clamp(min=0)
        for block in reversed(range(scene.plans[stage].depth)):
            name = f"stages.{stage}.blocks.{block}.attention"
            weights = values[name].detach().float().cpu()[0] * slope_of[name][0].clamp(min=0)
            mean = weights.mean(1)  # nW T T
            mean = mean / mean.sum(-1, keepdim=True).clamp(min=1e-30)
            share = pass_back(share, mean, scene.layout(stage, block), 0.5)
        if stage > 0:
            share = to_children(share, scene.plans[stage - 1].size_hw)
    return cam, share


def _enlarged(heat: Tensor, times: int, size_hw: tuple[int, int]) -> Tensor:
    large = heat.repeat_interleave(times, 0).repeat_interleave(times, 1)
    return large[: size_hw[0], : size_hw[1]]


@torch.no_grad()
def _probabilities(scene: Scene, answer: Answer, hidden: Sequence[Tensor]) -> list[float]:
    """Of the answer, for the image with (H, W) bool parts of it at the mean color, some at once."""
    at_once = max(1, min(MOST_IMAGES, MOST_PIXELS // hidden[0].numel()))
    found: list[float] = []
    for first in range(0, len(hidden), at_once):
        parts = torch.stack(list(hidden[first : first + at_once]))[:, None]  # B 1 H W
        images = scene.image.masked_fill(parts.to(scene.image.device), 0.0)  # the mean color
        found += answer.score(images, scene.backbone(images)).exp().tolist()
    return found


def _areas(
    scene: Scene, answer: Answer, heat: Mapping[str, Tensor]
) -> tuple[dict[str, float], dict[str, float]]:
    """By method, areas under deletion and insertion, from 0 to 1 of the patches."""
    nothing = torch.zeros(scene.image_hw, dtype=torch.bool)
    hidden = [nothing, ~nothing]
    for own in heat.values():
        hidden += [part for gone in _cuts(scene, own) for part in (gone, ~gone)]
    whole, empty, *rest = _probabilities(scene, answer, hidden)
    count = len(rest) // len(heat)
    deletion, insertion = {}, {}
    for number, name in enumerate(heat):
        curves = rest[number * count : (number + 1) * count]
        deletion[name] = _area([whole, *curves[::2], empty])
        insertion[name] = _area([empty, *curves[1::2], whole])
    return deletion, insertion


def _cuts(scene: Scene, heat: Tensor) -> Iterator[Tensor]:
    """(H, W) bool: more and more of the patches that speak most for the answer."""
    order = heat.flatten().argsort(descending=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    ranks = _enlarged(rank.view(heat.shape), scene.backbone.config.patch_size, scene.image_hw)
    for cut in range(1, CUTS):
        yield ranks < cut * len(order) / CUTS


def _area(curve: Sequence[float]) -> float:
    return float(torch.trapezoid(torch.tensor(curve)) / CUTS)
