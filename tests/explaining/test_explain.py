"""The page of an explanation holds the model's numbers, for every task, and needs no network."""

import base64
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small import photo, tiny

import swinkit
from swinkit.backbones.config import SwinConfig
from swinkit.classification.model import SwinClassifier
from swinkit.cli import main
from swinkit.detection.variants import DETECTORS
from swinkit.errors import ConfigError
from swinkit.explaining import payload
from swinkit.explaining.complexity import complexity
from swinkit.segmentation.variants import SEGMENTERS


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r"id='data'>(.*?)</script>", page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def numbers(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("most", [payload.MOST_VALUES, 30_000])
def test_numbers_of_the_page_are_the_models(
    version: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload, "MOST_VALUES", most)
    found = swinkit.explain(tiny(version), photo(), patch=(0.3, 0.6))
    data = data_of(found.to_html())
    whole = []
    for s, stage in enumerate(data["stages"]):
        for b, block in enumerate(stage["blocks"]):
            layout, heads = found.scene.layout(s, b), stage["heads"]
            scores = numbers(block["scores"], "<f2").reshape(-1, heads, 16).astype(np.float32)
            shown = torch.from_numpy(scores + numbers(block["top"], "<f4").reshape(-1, heads, 1))
            whole.append(block["rows"] is None)
            rows = range(len(shown)) if block["rows"] is None else numbers(block["rows"], "<i4")
            name = f"stages.{s}.blocks.{b}"
            for own, place in zip(shown, rows, strict=True):
                row, column = divmod(int(place), stage["size"][1])
                slot = layout.padded_to_slot[row * layout.padded_hw[1] + column]
                window, token = divmod(int(slot), 16)
                true = found.scores[name][window, :, token]
                # The page shows two digits behind the point.
                torch.testing.assert_close(own.softmax(-1), true.softmax(-1), rtol=0, atol=2e-3)
                assert float((own - true).abs().max()) < 5e-3
            bias = found.scene.block(s, b).attention.position_bias.table_rows()
            assert np.array_equal(numbers(block["bias"], "<f4"), bias.detach().flatten().numpy())
    assert all(whole) == (most > 30_000)


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_found(version: int) -> None:
    model = tiny(version)
    found = swinkit.explain(model, photo(), patch=(0.9, 0.1), stage=1, block=1, head=2)
    for name, weights in found.attention.items():
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
        layout = found.scene.layout(int(name[7]), int(name[-1]))
        if layout.num_seam:
            mask = payload_mask(layout)
            assert float((weights[-layout.num_seam :] * mask[:, None]).max()) < 1e-6
    cost = complexity(model.config, (40, 52)).total
    assert sum(step.multiply_adds for step in found.steps[:-1]) == cost
    assert found.steps[-1].parameters == sum(p.numel() for p in model.parameters())
    assert any("padded" in step.note for step in found.steps)
    for field in found.fields:
        assert not (field.measured & ~field.theory).any()
        assert not (field.without_shift & ~field.theory).any()
    assert len(found.figures) > 20


def payload_mask(layout: Any) -> torch.Tensor:
    from swinkit.windows.shift_mask import shift_mask

    mask = shift_mask(layout)
    assert mask is not None
    return (mask < 0).float()


@pytest.mark.parametrize(
    "name", ["retinanet_swin_nano", "mask_rcnn_swin_nano", "upernet_swin_nano", "unet_swin_nano"]
)
def test_other_tasks(name: str, tmp_path: Path) -> None:
    if name in SEGMENTERS:
        model: Any = swinkit.create_segmenter(name, num_classes=2)
    else:  # without training no box scores high
        config = replace(DETECTORS[name], num_classes=2)
        config = replace(config, output=replace(config.output, score_threshold=0.0))
        model = swinkit.SwinDetector.from_config(config)
    model.set_image_size(48)
    found = swinkit.explain(model, photo())
    assert found.evidence is not None
    assert all(heat.isfinite().all() for heat in found.evidence.heat.values())
    assert all(0 <= area <= 1 for area in found.evidence.deletion.values())
    found.save(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert data_of(page)["size"] == list(found.scene.image_hw)
    assert len(page) < 12e6


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    weights, image, page = (tmp_path / name for name in ("w.safetensors", "a.png", "p.html"))
    swinkit.save(tiny(1), weights)
    Image.fromarray(photo()).save(image)
    words = ["explain", str(image), "--weights", str(weights), "--out", str(page)]
    assert main([*words, "--stage", "2", "--head", "4"]) == 0
    assert "needs no network" in capsys.readouterr().out
    assert page.stat().st_size > 100_000
    for bad, said in (
        (["--stage", "3"], "stage"), (["--head", "9"], "head"),
        (["--patch", "0.5", "1.5"], "patch"), (["--out", "x.png"], ".html"),
    ):  # fmt: skip
        assert main([*words, *bad]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


# Keys on the map of SW-MSA, and what has no name for a screen reader.
KEYS = """<script>setTimeout(() => {
  const said = [], map = $("map-1");
  const key = (key) => map.dispatchEvent(new KeyboardEvent("keydown", { key }));
  map.focus(); said.push(document.activeElement.id);
  key("ArrowDown"); key("PageDown"); key("PageDown"); key("PageDown"); key("PageUp");
  said.push($("step").getAttribute("aria-valuetext"), $("step-name").textContent);
  said.push($("play").textContent); key(" "); said.push($("play").textContent);
  $("heads").children[1].click(); said.push(document.activeElement.getAttribute("aria-label"));
  $("rows").querySelector("canvas").focus(); said.push($("value").textContent.split(",")[0]);
  const all = document.querySelectorAll("button, input, select, canvas[tabindex], [role=group]");
  const unnamed = [...all].filter((x) => !(x.textContent.trim() || x.closest("label")
    || x.getAttribute("aria-label") || x.getAttribute("aria-labelledby")));
  said.push(unnamed.length); document.body.append(`said: ${said.join("; ")}.`);
}, 500)</script>"""


def test_the_explorer_shows_both_kinds_and_follows_keys(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no chromium here")
    page = tmp_path / "page.html"
    page.write_text(swinkit.explain(tiny(1), photo()).to_html() + KEYS, encoding="utf-8")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000",
         "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
         page.as_uri()],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "1 of 10." in done.stdout  # the tour has begun
    assert "Patch at row 11, column 13" in done.stdout
    assert "Block 1: W-MSA, no roll, no mask<" in done.stdout
    assert "Block 2: SW-MSA, shifted by 2, 2 (its rows are shown)" in done.stdout
    said = "said: map-1; window partition; window partition; Play; Pause; Head 2; mask; 0."
    assert said in done.stdout
    assert "CONSOLE" not in done.stderr


@pytest.mark.parametrize("frozen", [True, False])
def test_the_model_is_left_as_it_was(frozen: bool) -> None:
    model = tiny(1).train()
    model.head.requires_grad_(not frozen)
    before = [one.requires_grad for one in model.parameters()]
    assert all(before) != frozen
    swinkit.explain(model, photo())
    assert model.training
    assert [one.requires_grad for one in model.parameters()] == before
    assert all(one.grad is None for one in model.parameters())


def test_the_lens_ends_with_the_models_answer() -> None:
    model = tiny(1)
    found = swinkit.explain(model, photo())
    with torch.no_grad():
        true = model(found.scene.image).softmax(-1)[0].sort(descending=True).values
    assert len(found.lens) == 4
    last = list(found.lens[-1].probabilities.values())
    assert last == pytest.approx(true.tolist(), abs=1e-5)
    assert sum(found.lens[0].probabilities.values()) == pytest.approx(1.0, abs=1e-5)


def test_an_answer_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="answers to explain here, and number 100 is wanted"):
        swinkit.explain(tiny(1), photo(), answer=99)


def test_stages_of_one_block_shift_nothing(tmp_path: Path) -> None:
    config = SwinConfig(
        patch_size=2, embed_dim=8, depths=(1, 2), num_heads=(1, 2), window_size=4, norm_stages=(1,)
    )
    model = SwinClassifier(config, num_classes=2)
    swinkit.explain(model, photo()).save(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "Stage 1: W-MSA" in page
    assert "Stage 1: SW-MSA" not in page
    assert "Stage 2: SW-MSA" in page
    assert "The kinds of windows after the shift" in page
