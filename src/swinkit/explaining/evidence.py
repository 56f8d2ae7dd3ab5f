"""What in the image speaks for an answer, and against it: three maps, each measured.

Integrated gradients follow the answer as the image comes out of the mean color. HiResCAM and
attention weighted by its gradient read the network's own maps and windows, so no function has to
reshape tokens.

Legend: H W pixels, h w tokens of a map, C channels, nW windows, N heads, T tokens per window.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.errors import ConfigError
from swinkit.explaining.attention import pass_back, to_children
from swinkit.explaining.scene import Scene
from swinkit.task.model import Answer

CUTS = 6  # steps from the whole image to the empty one
# Of images with hidden parts that go through the model together: more are no faster.
MOST_IMAGES, MOST_PIXELS = 8, 8 * 256 * 256
BLENDS = 8  # of the image with the mean color
METHODS = ("integrated gradients", "HiResCAM", "attention x gradient", "at random")


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """What speaks for one answer.

    Attributes:
        answer: its name.
        heat: by method, (h, w) of the first map; negative is what speaks against the answer.
        deletion: by method, the area under the answer's probability while the patches that speak
            for it most become the mean color first; small is good.
        insertion: the same while they appear first on the mean color; large is good.
    """

    answer: str
    heat: Mapping[str, Tensor]
    deletion: Mapping[str, float]
    insertion: Mapping[str, float]


def find_evidence(scene: Scene, number: int = 0) -> Evidence | None:
    """For the best answer of the model, or another one; None where it has none at all.

    Raises:
        ConfigError: fewer answers.
    """
    with torch.no_grad():
        answers = scene.model.answers(scene.image, scene.backbone(scene.image))
    if not answers:
        return None
    if number >= len(answers):
        raise ConfigError(
            f"there are {len(answers)} answers to explain here, and number {number + 1} is wanted; "
            "choose one of them"
        )
    heat = heat_of(scene, answers[number])
    deletion, insertion = areas(scene, answers[number], heat)
    return Evidence(answer=answers[number].name, heat=heat, deletion=deletion, insertion=insertion)


def heat_of(scene: Scene, answer: Answer) -> dict[str, Tensor]:
    """By method, (h, w) of the first map; the last is random, to be compared with."""
    cam, attention = _by_gradient(scene, answer)
    chance = torch.rand(cam.shape, generator=torch.Generator().manual_seed(0))
    maps = (_integrated(scene, answer), cam, attention, chance)
    return dict(zip(METHODS, maps, strict=True))


def _integrated(scene: Scene, answer: Answer) -> Tensor:
    """Integrated gradients (1703.01365) from the mean color to the image, (h, w): how much each
    patch adds to the logarithm of the probability. They sum to what the whole image adds, as far
    as `BLENDS` steps tell."""
    slope = torch.zeros_like(scene.image)
    for blend in range(BLENDS):
        image = (scene.image * ((blend + 0.5) / BLENDS)).requires_grad_()  # the mean color is 0
        with torch.enable_grad():
            score = answer.score(image, scene.backbone(image))[0]
        slope += torch.autograd.grad(score, image)[0]
    parts = (slope / BLENDS * scene.image).float().cpu().sum(1)  # 1 H W
    (rows, columns), patch = scene.plans[0].size_hw, scene.backbone.config.patch_size
    height, width = scene.image_hw
    parts = F.pad(parts, (0, columns * patch - width, 0, rows * patch - height))
    return F.avg_pool2d(parts, patch)[0] * patch**2


def _by_gradient(scene: Scene, answer: Answer) -> tuple[Tensor, Tensor]:
    """HiResCAM (2011.08891) of all maps that the head reads, and what flows back from there along
    attention times its positive gradient (after 2103.15679); (h, w) of the first map each.

    Where a mean reads the map, as in a classifier, HiResCAM is Grad-CAM. A box reads a part of the
    map: Grad-CAM's mean of the gradient over the whole would spread it over all places.
    """
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
        heat = (slope * own).sum(-1).clamp(min=0)  # h w
        cam += F.interpolate(heat[None, None], size_hw, mode="bilinear")[0, 0]
        share = share + heat
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


def areas(
    scene: Scene, answer: Answer, heat: Mapping[str, Tensor], cuts: int = CUTS
) -> tuple[dict[str, float], dict[str, float]]:
    """By method, areas under deletion and insertion, from 0 to 1 of the patches."""
    nothing = torch.zeros(scene.image_hw, dtype=torch.bool)
    hidden = [nothing, ~nothing]
    for own in heat.values():
        hidden += [part for gone in _cuts(scene, own, cuts) for part in (gone, ~gone)]
    whole, empty, *rest = _probabilities(scene, answer, hidden)
    count = len(rest) // len(heat)
    deletion, insertion = {}, {}
    for number, name in enumerate(heat):
        curves = rest[number * count : (number + 1) * count]
        deletion[name] = _area([whole, *curves[::2], empty])
        insertion[name] = _area([empty, *curves[1::2], whole])
    return deletion, insertion


def _cuts(scene: Scene, heat: Tensor, cuts: int) -> Iterator[Tensor]:
    """(H, W) bool: more and more of the patches that speak most for the answer."""
    order = heat.flatten().argsort(descending=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    ranks = _enlarged(rank.view(heat.shape), scene.backbone.config.patch_size, scene.image_hw)
    for cut in range(1, cuts):
        yield ranks < cut * len(order) / cuts


def _area(curve: Sequence[float]) -> float:
    return float(torch.trapezoid(torch.tensor(curve)) / (len(curve) - 1))
