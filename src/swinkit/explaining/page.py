"""The page of an explanation: one HTML file without a network, its figures and its explorer.

Legend: h w tokens of a map, N heads, T tokens per window.
"""

import json
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from swinkit.explaining.drawing import as_data_uri, heat_picture, matrix_picture, windows_picture
from swinkit.explaining.findings import Findings
from swinkit.explaining.payload import page_data
from swinkit.windows.shift_mask import region_of_slots

Figure = tuple[str, str, np.ndarray]  # section, caption, picture
SECTIONS = {
    "Windows and shifted windows": "W-MSA, multi-head self-attention in windows, looks inside the "
    "windows on the left. Every second block is SW-MSA: its windows lie half a window further down "
    "and right, rounded down. The roll moves all tokens up and left by as much; the strips that "
    "leave at the top (C), at the left (B) and in their corner (A) come back in at the opposite "
    "edge, and go back after the attention; the way back of one block and the way into the next "
    "are one reordering here, with the same result. Where a side of the map is no multiple of the "
    "window, tokens of zeros fill it up at the bottom and right, unmasked, and are cut off at the "
    "end. Most models do not shift a map that fits into one window: all its blocks are W-MSA.",
    "The kinds of windows after the shift": "Two tokens of one window that come from different "
    "regions (A, B, C or the rest) share it because of the roll alone: these pairs of query (row) "
    "and key (column), black here, get -100 before softmax, which takes e to the power of each "
    "score: e^-100 is 4e-44, so nothing is left of them. Windows inside need no mask. Shown for "
    "the first stage that shifts; in brackets, how many of its windows are of the kind. The "
    "pictures of softmax are means over these windows and all heads.",
    "Relative position bias": "What a head adds to a score before mask and softmax: a learned "
    "number for each offset, query minus key, in rows and columns; pairs of equal offset share it. "
    "In a window of M x M offsets go from -(M - 1) to M - 1, so a head has (2M - 1)² of them: 13 x "
    "13 = 169 for M = 7. A pair takes the one at row (query row - key row + M - 1), column (query "
    "column - key column + M - 1).",
    "Evidence for the answer": "What speaks for the best class, box or segment; black is what does "
    "not, or speaks against it. Integrated gradients: how much each patch adds to the logarithm of "
    "its probability while the image fades in from its mean color. Deletion: area under the "
    "probability, over the share of patches that gave way to the mean color, those that speak for "
    "it most first (small is good); insertion: while they come back in that order (large is good). "
    "Trust a map only if both are clearly better than those at random, and the probability is "
    "above chance.",
    "Attention of the chosen patch": "Stitched over windows and un-shifted, heads sorted by how "
    "far they look; and its rollout through all blocks from the last map.",
    "Receptive field of the chosen patch": "Colored pixels have a gradient, the brighter the "
    "larger; the shift is what lets windows exchange anything inside a stage.",
    "Patch merging": "Which 2 x 2 tokens became the chosen one of the next stage: their C channels "
    "are concatenated to 4C (top left, bottom left, top right, bottom right) and projected to 2C "
    "by one linear layer, with a norm before it in V1, after it in V2: half the height and width, "
    "twice the channels.",
}
MOST_HEADS = 8


def as_html(found: Findings) -> str:
    """The whole page."""
    scene, here = found.scene, files("swinkit.explaining")
    data = json.dumps(
        page_data(scene, {f"{name}.scores": value for name, value in found.scores.items()})
    )
    style, explorer, *scripts = (
        here.joinpath(name).read_text(encoding="utf-8")
        for name in ("page.css", "explorer.html", "explorer.js", "tour.js")
    )
    height, width = scene.image_hw
    title = (
        f"{escape(Path(scene.name).name)} in a Swin Transformer V{scene.backbone.config.version}"
    )
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        f"<title>{title}</title><meta name='viewport' content='width=device-width'>",
        "<link rel='icon' href='data:,'>",
        f"<style>{style}</style></head><body><h1>{title}</h1>",
        f"<p>A model for {escape(scene.model.task)}; its input has {height} x {width} pixels. The "
        f"chosen pixel is at row {scene.pixel[0]}, column {scene.pixel[1]}.</p>",
        explorer,
        _steps_html(found),
        *_figures_html(found),
        _fields_html(found),
        _lens_html(found),
        f"<script type='application/json' id='data'>{data}</script>",
        *(f"<script>{script}</script>" for script in scripts),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def figures_of(found: Findings) -> Iterator[Figure]:
    """Every picture of the page, with its section and caption."""
    yield from _windows(found)
    yield from _kinds(found)
    yield from _bias(found)
    yield from _evidence(found)
    yield from _attention(found)
    yield from _receptive(found)
    yield from _merging(found)


def _windows(found: Findings) -> Iterator[Figure]:
    scene, section = found.scene, "Windows and shifted windows"
    for stage, plan in enumerate(scene.plans):
        stride, token = scene.backbone.strides[stage], scene.token(stage)
        for name, layout, rolled in (
            ("W-MSA", plan.layouts[0], False),
            ("SW-MSA on the picture", plan.layouts[1], False),
            ("SW-MSA after the roll", plan.layouts[1], True),
        ):
            if name == "W-MSA" or scene.is_shifted(stage):
                drawn = windows_picture(scene.picture_rgb, layout, stride, token, rolled=rolled)
                yield section, f"Stage {stage + 1}: {name}", drawn


def _kinds(found: Findings) -> Iterator[Figure]:
    stages = [stage for stage in range(len(found.scene.plans)) if found.scene.is_shifted(stage)]
    if not stages:
        return
    stage, section = stages[0], "The kinds of windows after the shift"
    layout = found.scene.plans[stage].layouts[1]
    regions = region_of_slots(layout).unflatten(0, (layout.num_windows, -1))  # nW T
    name = f"stages.{stage}.blocks.1"
    scores, after = found.scores[name], found.attention[name]
    kinds: dict[tuple[int, ...], list[int]] = {}
    for window, own in enumerate(regions):
        kinds.setdefault(tuple(own.unique().tolist()), []).append(window)
    for own, windows in kinds.items():
        region = regions[windows[0]]
        name = {1: "inside", 2: "one edge", 4: "the corner, A with B, C and the rest"}[len(own)]
        if len(own) == 2:
            name = "lower edge, C" if 2 in own else "right edge, B"
        mask = -100.0 * (region[:, None] != region).float()
        yield (
            section,
            f"{name} ({len(windows)}): mask",
            matrix_picture(mask, lowest=-100.0, highest=0.0, colors="gray"),
        )
        plain = scores[windows].softmax(-1).mean((0, 1))
        seen = after[windows].mean((0, 1))
        top = float(torch.maximum(plain, seen).max())
        for what, values in (("softmax without mask", plain), ("softmax with mask", seen)):
            yield section, f"{name}: {what}", matrix_picture(values, lowest=0.0, highest=top)


def _bias(found: Findings) -> Iterator[Figure]:
    section, name = "Relative position bias", f"stages.{found.stage}.blocks.{found.block}"
    module = found.scene.block(found.stage, found.block).attention.position_bias
    high, wide = module.window_hw
    with torch.no_grad():
        rows = module.table_rows().detach().float().cpu()
    yield (
        section,
        "index in the table: rows are queries, columns keys",
        matrix_picture(module.index.cpu()),
    )
    source = (
        "MLP over log-spaced distances" if found.scene.backbone.config.version == 2 else "table"
    )
    for head in range(min(rows.shape[1], MOST_HEADS)):
        table = rows[:, head].unflatten(0, (2 * high - 1, 2 * wide - 1))
        caption = f"head {head + 1}, {source}: {table.min():.2f} to {table.max():.2f}"
        yield section, caption, matrix_picture(table)
    center = (high // 2) * wide + wide // 2
    seen = found.biases[name][found.head, center].unflatten(0, (high, wide))
    yield section, f"head {found.head + 1}, seen from the central token", matrix_picture(seen)


def _evidence(found: Findings) -> Iterator[Figure]:
    own, stride = found.evidence, found.scene.backbone.strides[0]
    if own is None:
        return
    for name, heat in own.heat.items():
        areas = f"deletion {own.deletion[name]:.3f}, insertion {own.insertion[name]:.3f}"
        drawn = heat_picture(found.scene.picture_rgb, heat, stride)
        yield "Evidence for the answer", f"{own.answer}, {name}: {areas}", drawn


def _attention(found: Findings) -> Iterator[Figure]:
    section, name = "Attention of the chosen patch", f"stages.{found.stage}.blocks.{found.block}"
    picture, reach = found.scene.picture_rgb, found.reach[name]
    for head in reach.argsort().tolist()[:MOST_HEADS]:
        caption = f"head {head + 1}: looks {reach[head]:.1f} pixels far"
        heat = found.stitched[name][head]
        yield (
            section,
            caption,
            heat_picture(picture, heat, found.scene.backbone.strides[found.stage]),
        )
    yield (
        section,
        "rollout through all blocks",
        heat_picture(picture, found.rollout, found.scene.backbone.strides[0]),
    )


def _receptive(found: Findings) -> Iterator[Figure]:
    section, depths = "Receptive field of the chosen patch", found.scene.backbone.config.depths
    for field in found.fields:
        if field.block in (0, 1) or field.block == depths[field.stage] - 1:
            shown = field.theory.float() * 0.25 + 0.75 * (
                field.gradient / field.gradient.max().clamp(min=1e-30)
            ).pow(0.25)
            caption = f"stage {field.stage + 1}, block {field.block + 1}: windows and gradient"
            yield section, caption, heat_picture(found.scene.picture_rgb, shown)


def _merging(found: Findings) -> Iterator[Figure]:
    scene = found.scene
    for stage in range(1, len(scene.plans)):
        row, column = scene.token(stage)
        size_hw, stride = scene.plans[stage - 1].size_hw, scene.backbone.strides[stage - 1]
        marked = torch.zeros(size_hw)
        for number, (down, right) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
            if 2 * row + down < size_hw[0] and 2 * column + right < size_hw[1]:
                marked[2 * row + down, 2 * column + right] = 1.0 - 0.15 * number
        caption = f"stage {stage} to {stage + 1}, in the order of concatenation: brightest first"
        yield "Patch merging", caption, heat_picture(scene.picture_rgb, marked, stride)


def _figures_html(found: Findings) -> Iterator[str]:
    section = ""
    for own, caption, drawn in figures_of(found):
        if own != section:
            if section:
                yield "</div>"
            yield f"<h2>{own}</h2><p>{SECTIONS[own]}</p><div class='figures'>"
            section = own
        source = as_data_uri(drawn, "PNG" if drawn.shape[0] < 200 else "JPEG")
        text = escape(caption)
        yield (
            f"<figure><img alt='{text}' width='{drawn.shape[1]}' height='{drawn.shape[0]}' "
            f"src='{source}'><figcaption>{text}</figcaption></figure>"
        )
    yield "</div>"


def _steps_html(found: Findings) -> str:
    heads = ("step", "shape", "parameters", "multiply-adds", "MB", "ms", "note")
    rows = [
        (
            step.name, " x ".join(map(str, step.shape)), f"{step.parameters:,}",
            f"{step.multiply_adds / 1e6:,.1f} M", f"{step.megabytes:.3f}" if step.shape else "",
            f"{step.milliseconds:.1f}", step.note,
        )
        for step in found.steps
    ]  # fmt: skip
    text = (
        "MB: memory of what a step gives. ms: of one run on this machine, step by step; the last "
        "row is the whole model in one go."
    )
    return f"<h2>Forward pass</h2><p>{text}</p>" + _table(heads, rows)


def _fields_html(found: Findings) -> str:
    heads = ("after", "by windows", "by gradient", "without shift")
    rows = [
        (
            f"stage {one.stage + 1}, block {one.block + 1}",
            *(f"{100 * float(seen.float().mean()):.1f} %"
              for seen in (one.theory, one.measured, one.without_shift)),
        )
        for one in found.fields
    ]  # fmt: skip
    text = "By windows: what can reach it. By gradient: the pixels whose change changes it."
    return f"<h3>Share of the picture that the chosen patch sees</h3><p>{text}</p>" + _table(
        heads, rows
    )


def _lens_html(found: Findings) -> str:
    if not found.lens:
        return ""
    heads = ("after", *found.lens[0].probabilities)
    rows = [
        (
            f"stage {row.stage + 1}, block {row.block + 1}",
            *(f"{value:.3f}" for value in row.probabilities.values()),
        )
        for row in found.lens
    ]
    text = "What the classifier answers if the network had no further blocks, only patch merging."
    return f"<h2>Logit lens</h2><p>{text}</p>" + _table(heads, rows)


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<div class='scroll'><table><tr>{head}</tr>{body}</table></div>"
