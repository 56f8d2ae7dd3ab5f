"""SwinConfig: what it refuses, what it normalizes, and its trip through JSON."""

import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swinkit.backbones.config import SwinConfig
from swinkit.errors import ConfigError

sides = st.integers(1, 24)
sizes = st.one_of(sides, st.tuples(sides, sides))


@given(
    version=st.sampled_from([1, 2]),
    window=st.one_of(sizes, st.tuples(*[sizes] * 4)),
    pretrained=st.one_of(st.just(0), sizes),
    rule=st.sampled_from(["shrink_both", "shrink_per_axis", "keep"]),
    norms=st.sets(st.integers(0, 3)).map(tuple),
    position=st.one_of(st.none(), st.tuples(sides, sides)),
    drop=st.floats(0, 0.9),
)
@settings(max_examples=50, deadline=None)
def test_round_trip_through_json(
    version: Any, window: Any, pretrained: Any, rule: Any, norms: Any, position: Any, drop: float
) -> None:
    config = SwinConfig(
        version=version,
        window_size=window,
        pretrained_window_size=pretrained,
        small_map_rule=rule,
        norm_stages=norms,
        absolute_position_hw=position,
        drop_path_rate=drop,
    )
    again = SwinConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert hash(again) == hash(config)
    assert len(config.windows) == len(config.pretrained_windows) == 4


@pytest.mark.parametrize(
    ("given_size", "stored"),
    [
        (7, ((7, 7),) * 4),
        ((4, 6), ((4, 6),) * 4),
        ([4, 6], ((4, 6),) * 4),
        ((4, 4, 4, 2), ((4, 4), (4, 4), (4, 4), (2, 2))),
        (((4, 6), 3, (2, 2), 1), ((4, 6), (3, 3), (2, 2), (1, 1))),
    ],
)
def test_window_forms(given_size: Any, stored: Any) -> None:
    assert SwinConfig(window_size=given_size).windows == stored


def test_one_and_two_stages() -> None:
    two = {"depths": (1, 1), "num_heads": (1, 2), "norm_stages": (1,), "embed_dim": 4}
    assert SwinConfig(window_size=(4, 6), **two).windows == ((4, 6), (4, 6))
    assert SwinConfig(window_size=((4, 6), (2, 3)), **two).windows == ((4, 6), (2, 3))
    one = SwinConfig(
        depths=(1,), num_heads=(1,), norm_stages=(0,), embed_dim=4, window_size=((4, 6),)
    )
    assert one.windows == ((4, 6),)


def test_derived_values() -> None:
    config = SwinConfig(embed_dim=24, patch_size=2, norm_stages=(3, 0))
    assert config.num_stages == 4
    assert config.channels == (24, 48, 96, 192)
    assert config.strides == (2, 4, 8, 16)
    assert config.norm_stages == (0, 3)
    with pytest.raises(FrozenInstanceError):
        config.embed_dim = 8  # type: ignore[misc]


BAD: dict[str, dict[str, Any]] = {
    "version": {"version": 3},
    "heads and depths": {"num_heads": (3, 6)},
    "no stage": {"depths": (), "num_heads": (), "norm_stages": ()},
    "no block": {"depths": (2, 0, 2, 2)},
    "no channel": {"in_channels": 0},
    "no patch": {"patch_size": 0},
    "heads do not divide": {"num_heads": (5, 10, 20, 40)},
    "no such stage": {"norm_stages": (4,)},
    "drop path": {"drop_path_rate": 1.0},
    "negative dropout": {"dropout": -0.1},
    "attention dropout": {"attention_dropout": float("nan")},
    "window 0": {"window_size": 0},
    "negative window": {"window_size": (7, -7)},
    "three windows": {"window_size": (7, 7, 7)},
    "window of letters": {"window_size": "seven"},
    "window of fractions": {"window_size": 3.5},
    "negative pretrained window": {"pretrained_window_size": -1},
}


@pytest.mark.parametrize("case", BAD)
def test_contradictions_are_named_in_one_line(case: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SwinConfig(**BAD[case])
    assert "\n" not in str(caught.value)


def test_unknown_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="flux"):
        SwinConfig.from_dict({"flux": 1, "embed_dim": 96})
