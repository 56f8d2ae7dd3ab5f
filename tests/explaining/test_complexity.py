"""The cost, term by term, equals a counted forward pass, and grows as the paper says."""

import csv
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from swinkit import SwinBackbone, SwinConfig
from swinkit.backbones.variants import VARIANTS
from swinkit.cli import main
from swinkit.explaining.complexity import complexity
from swinkit.explaining.measured import Point, exponent, measure_growth


@settings(deadline=None, max_examples=25)
@given(
    version=st.sampled_from([1, 2]),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    window=st.integers(1, 7),
    patch=st.integers(1, 4),
)
def test_equals_a_counted_forward(
    version: int, height: int, width: int, window: int, patch: int
) -> None:
    config = SwinConfig(
        version=version, patch_size=patch, embed_dim=8, depths=(1, 2), num_heads=(1, 2),
        window_size=(window, 3), norm_stages=(0, 1), attention="reference",
    )  # fmt: skip
    backbone = SwinBackbone(config).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        backbone(torch.rand(1, 3, height, width))
    # The counter counts a multiply-add as two.
    assert counter.get_total_flops() == 2 * complexity(config, (height, width)).total


def test_the_shapes_of_the_paper() -> None:
    for name, width in (("swin_t", 96), ("swin_s", 96), ("swin_b", 128), ("swin_l", 192)):
        for side in (224, 384):
            cost = complexity(VARIANTS[name].config, (side, side))
            assert [stage.size_hw for stage in cost.stages] == [
                (side // 4 // 2**n, side // 4 // 2**n) for n in range(4)
            ]
            assert [stage.channels for stage in cost.stages] == [width * 2**n for n in range(4)]


def test_windows_are_linear_in_pixels_and_global_attention_is_quadratic() -> None:
    config = VARIANTS["swin_t"].config
    small, large = (complexity(config, (side, side)) for side in (448, 1792))
    assert large.attention == 16 * small.attention
    assert large.global_attention == 256 * small.global_attention
    first = small.stages[0]
    h, w, c = *first.size_hw, first.channels
    assert first.exact.total == 4 * h * w * c**2 + 2 * 49 * h * w * c
    assert first.everywhere.total == 4 * h * w * c**2 + 2 * (h * w) ** 2 * c


def test_the_fitted_exponent() -> None:
    points = [
        Point(network="swin", side=side, seconds=side**2.2, memory_mb=1.0) for side in (64, 96, 160)
    ]
    assert exponent(points, "swin") == pytest.approx(1.1)
    assert exponent(points, "vit") is None


def test_what_takes_too_long_is_left_out_and_said() -> None:
    points, said = measure_growth("swin_nano", [32], budget=0.01)
    assert points == []
    assert said[0] == "swin ends before 32 x 32: it takes more than 0 s"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    files = {kind: tmp_path / f"cost.{kind}" for kind in ("json", "csv")}
    words = ["complexity", "--model", "swin_nano", "swin_v2_t", "--image-size", "64", "100"]
    words += ["--json", str(files["json"]), "--csv", str(files["csv"])]
    assert main([*words, "--plot", str(tmp_path / "cost.png")]) == 0
    assert "swin_v2_t, 100 x 100" in capsys.readouterr().out
    entries = json.loads(files["json"].read_text())["complexity"]
    assert len(entries) == 4
    assert entries[0]["total"] == complexity(VARIANTS["swin_nano"].config, (64, 64)).total
    with files["csv"].open() as file:
        assert len(list(csv.DictReader(file))) == 16
    assert (tmp_path / "cost.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("words", "said"), [(["--model", "vgg"], "vgg"), (["--image-size", "0"], "image-size")]
)
def test_bad_settings(words: list[str], said: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["complexity", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
