"""Windows read off buffers: rectangular ones, V2's coordinates, and what names tell."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swinkit.checkpoints.convert import attention_mask
from swinkit.checkpoints.infer_window import (
    fit_window,
    map_hw,
    pretrained_from_table,
    sizes_from_name,
    window_from_index,
)
from swinkit.checkpoints.load import load
from swinkit.errors import CheckpointError
from swinkit.windows.position_bias import log_spaced_coordinates, relative_position_index

side = st.integers(2, 24)


@given(side, side)
def test_rectangular_window_from_index(height: int, width: int) -> None:
    rows = (2 * height - 1) * (2 * width - 1)
    assert window_from_index(relative_position_index((height, width)), rows) == (height, width)
    flat = relative_position_index((height, width)).flatten()
    assert window_from_index(flat, None) == (height, width)


@given(side, side, side, side)
def test_pretrained_window_from_coordinates(h: int, w: int, trained_h: int, trained_w: int) -> None:
    table = log_spaced_coordinates((h, w), (trained_h, trained_w))[None]
    expected = (0, 0) if (h, w) == (trained_h, trained_w) else (trained_h, trained_w)
    assert pretrained_from_table(table, (h, w)) == expected


@pytest.mark.parametrize(
    ("name", "window", "pretrained", "size"),
    [
        ("swinv2_base_patch4_window12to24_192to384_22kto1k_ft.pth", 24, 12, 384),
        ("microsoft/swinv2-tiny-patch4-window8-256", 8, 0, 256),
        ("swin_base_patch4_window12_384.pth", 12, 0, 384),
        ("timm/swinv2_large_window12_192.ms_in22k", 12, 0, 192),
    ],
)
def test_names(name: str, window: int, pretrained: int, size: int) -> None:
    facts = sizes_from_name(name, "name", proven=False)
    assert facts is not None
    assert facts.window_size == window
    assert facts.pretrained_window_size == pretrained
    assert facts.image_hw == (size, size)
    assert sizes_from_name("model.safetensors", "name", proven=False) is None


def test_official_shrinking() -> None:
    assert [map_hw((101, 147), 4, stage) for stage in range(4)] == [
        (26, 37),
        (13, 19),
        (7, 10),
        (4, 5),
    ]
    assert fit_window((12, 12), (6, 6), "shrink_both") == (6, 6)
    assert fit_window((12, 12), (6, 20), "shrink_both") == (6, 6)
    assert fit_window((12, 12), (6, 20), "shrink_per_axis") == (6, 12)
    assert fit_window((12, 12), (6, 20), "keep") == (12, 12)


def test_masks_are_the_ones_timm_builds() -> None:
    from checkpoint_peers import timm_v1

    peer = timm_v1(224)
    for stage in range(3):
        own = attention_mask(map_hw((224, 224), 4, stage), (7, 7))
        theirs = peer.layers[stage].blocks[1].attn_mask  # type: ignore[index, union-attr]
        assert own is not None
        assert torch.equal(own, theirs)  # type: ignore[arg-type]
    assert attention_mask((7, 7), (7, 7)) is None


def test_v2_guess_is_said_and_refused_by_strict() -> None:
    from checkpoint_peers import timm_v2

    state = dict(timm_v2(256).state_dict())
    reports: list = []
    model = load(state, report=reports.append)
    assert model.config.window_size[0] == (8, 8)
    assert any("convention" in line for line in reports[0].guesses)
    with pytest.raises(CheckpointError, match="window"):
        load(state, report=None, strict=True)


def test_rectangular_table_without_index_needs_the_window() -> None:
    from checkpoint_peers import timm_v1

    state = dict(timm_v1((128, 192), (4, 6)).state_dict())  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="window_size="):
        load(state, report=None)
