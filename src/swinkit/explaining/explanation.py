"""`swinkit.explain`: one image through one model, looked at from every side.

Legend: H W pixels of the input, h w tokens of a map, nW windows, N heads, T tokens per window.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.stage import plan_stages
from swinkit.errors import ConfigError
from swinkit.explaining.attention import rollout, spatial_reach, stitched
from swinkit.explaining.evidence import find_evidence
from swinkit.explaining.findings import Field, Findings
from swinkit.explaining.forward import forward_steps
from swinkit.explaining.lens import logit_lens
from swinkit.explaining.page import as_html, figures_of
from swinkit.explaining.receptive import gradients, is_seen, seen_pixels
from swinkit.explaining.scene import Scene, prepare_scene
from swinkit.files import atomic_write
from swinkit.images.reading import ImageSource
from swinkit.task.model import TaskModel

Say = Callable[[str], object]


class Explanation(Findings):
    """What `explain` found, as tensors and pictures, and its page; fields as in `Findings`.

    Example:
        >>> import numpy as np, swinkit
        >>> model = swinkit.create_model("swin_nano", num_classes=2, image_size=32)
        >>> found = swinkit.explain(model, np.zeros((32, 32, 3), np.uint8))
        >>> found.steps[0].name, found.steps[0].shape
        ('patch embedding', (256, 48))
        >>> found.save("page.html")
    """

    @property
    def figures(self) -> dict[str, np.ndarray]:
        """(H, W, 3) uint8 pictures of the page, by their captions."""
        return {caption: drawn for _, caption, drawn in figures_of(self)}

    def to_html(self) -> str:
        """The page, which needs no other file and no network."""
        return as_html(self)

    def save(self, path: str | Path) -> None:
        """Write the page. Raises SwinkitError where the system refuses."""
        text = self.to_html()
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def explain(
    model: TaskModel[Any],
    image: ImageSource,
    *,
    patch: tuple[float, float] | None = None,
    stage: int = 0,
    block: int | None = None,
    head: int = 0,
    answer: int = 0,
    say: Say = lambda line: None,
) -> Explanation:
    """Look at what a model of any task does with one image.

    Args:
        model: of `swinkit.load` or one of the `create_` functions.
        image: a path, an array or a Pillow image.
        patch: (row, column) of the place to look at, as shares of height and width; None takes
            the center.
        stage, block, head: whose attention the page shows first, from 0; the block by
            default the stage's second, if it has one.
        answer: whose evidence is shown: 0 is the best class, box or the largest segment.
        say: called with what is done next, which takes a minute with large models.

    Returns:
        The numbers, and a page by its `save`.

    Raises:
        ImageError: an unreadable image.
        ConfigError: a stage, block, head or place that does not exist.
        CheckpointError: a model that runs an exported file.

    Example:
        >>> import numpy as np, swinkit
        >>> model = swinkit.create_model("swin_nano", num_classes=2, image_size=32)
        >>> found = swinkit.explain(model, np.zeros((32, 32, 3), np.uint8))
        >>> found.attention["stages.0.blocks.1"].shape
        torch.Size([16, 2, 16, 16])
        >>> found.stitched["stages.0.blocks.1"].shape
        torch.Size([2, 16, 16])
    """
    model.need_weights()
    depths = model.backbone.config.depths
    if block is None:
        block = min(1, depths[min(max(stage, 0), len(depths) - 1)] - 1)
    _check(model.backbone.config, stage, block, head, answer)
    with _at_rest(model):
        scene = prepare_scene(model, image, patch)
        return _look(scene, stage, block, head, answer, say)


@contextmanager
def _at_rest(model: TaskModel[Any]) -> Iterator[None]:
    """In evaluation mode, and without gradients of weights, which would take half of the time."""
    was_training = model.training
    learning = [one for one in model.parameters() if one.requires_grad]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        model.train(was_training)
        for one in learning:
            one.requires_grad_()


def _check(config: SwinConfig, stage: int, block: int, head: int, answer: int) -> None:
    if answer < 0:
        raise ConfigError(f"answer is {answer}; count from 0, the best one")
    within = min(max(stage, 0), config.num_stages - 1)
    for what, value, count in (
        ("stage", stage, config.num_stages),
        ("block", block, config.depths[within]),
        ("head", head, config.num_heads[within]),
    ):
        if not 0 <= value < count:
            raise ConfigError(f"{what} is {value}; the model has 0 to {count - 1} there")


def _look(scene: Scene, stage: int, block: int, head: int, answer: int, say: Say) -> Explanation:
    say("attention of every block")
    places = {f"stages.{s}.blocks.{b}": (s, b) for s, b in scene.blocks()}
    kinds = ("scores", "attention")
    seen = scene.look([f"{name}.{kind}" for name in places for kind in kinds])
    scores, attention = ({name: seen[f"{name}.{kind}"][0] for name in places} for kind in kinds)
    biases, own, reach = {}, {}, {}
    for name, (s, b) in places.items():
        layout = scene.layout(s, b)
        with torch.no_grad():
            biases[name] = scene.block(s, b).attention.position_bias().float().cpu()
        own[name] = stitched(attention[name], layout, scene.token(s))
        reach[name] = spatial_reach(attention[name], layout, scene.backbone.strides[s])
    seed = torch.zeros(scene.plans[-1].size_hw)
    seed[scene.token(len(scene.plans) - 1)] = 1.0
    by_stage = [
        [attention[f"stages.{s}.blocks.{b}"] for b in range(plan.depth)]
        for s, plan in enumerate(scene.plans)
    ]
    say("what speaks for the answer")
    evidence = find_evidence(scene, answer)
    say("receptive fields")
    return Explanation(
        scene=scene,
        stage=stage,
        block=block,
        head=head,
        steps=forward_steps(scene),
        scores=scores,
        attention=attention,
        biases=biases,
        stitched=own,
        reach=reach,
        rollout=rollout(by_stage, [plan.layouts for plan in scene.plans], seed),
        evidence=evidence,
        lens=logit_lens(scene),
        fields=_fields(scene),
    )


def _fields(scene: Scene) -> list[Field]:
    backbone, size_hw = scene.backbone, scene.image_hw
    grid_hw = backbone.patch_embed.grid_hw(size_hw)
    still = plan_stages(backbone.config, grid_hw, torch.device("cpu"), fixed=True, shifts=False)
    places = [(stage, block, scene.token(stage)) for stage, block in scene.blocks()]
    patch, fields = backbone.config.patch_size, []
    for place, slope in zip(places, gradients(backbone, scene.image, places), strict=True):
        fields.append(
            Field(
                stage=place[0],
                block=place[1],
                theory=seen_pixels(scene.plans, size_hw, patch, *place),
                measured=is_seen(slope),
                without_shift=seen_pixels(still, size_hw, patch, *place),
                gradient=slope,
            )
        )
    return fields
