"""The backbone as a whole: any size, no state, pyramid, intermediates, copies, export.

Legend: B batch, H W pixels, h w tokens of a map, N heads, T tokens per window, nW windows.
"""

import copy
import io
import pickle
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.stage import KEPT_PLANS, _kept_plans
from swinkit.backbones.swin import SwinBackbone
from swinkit.errors import ConfigError, ImageError

VERSIONS = pytest.mark.parametrize("version", [1, 2])
SIZES = [(33, 70), (1, 1), (64, 64), (130, 5), (17, 128), (64, 64), (8, 8), (33, 70)]


def build(version: Any = 1, **changes: Any) -> SwinBackbone:
    """A narrow backbone in eval mode whose every parameter matters."""
    values: dict[str, Any] = {
        "version": version,
        "embed_dim": 8,
        "depths": (2, 2, 2, 2),
        "num_heads": (1, 2, 2, 4),
        "window_size": 4,
        "norm_stages": (0, 1, 2, 3),
    }
    model = SwinBackbone(SwinConfig(**{**values, **changes}))
    for name, parameter in model.named_parameters():
        if "norm" in name:
            nn.init.normal_(parameter, mean=1.0, std=0.2)
        elif parameter.dim() > 1 and "logit" not in name:
            nn.init.normal_(parameter, std=0.2)
    return model.eval()


SHARED = {version: build(version) for version in (1, 2)}


def equal(ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(own, other) for own, other in zip(ours, theirs, strict=True))


@VERSIONS
@given(st.integers(1, 130), st.integers(1, 130), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_pyramid_at_any_size(version: int, height: int, width: int, batch: int) -> None:
    model = SHARED[version]
    image = torch.randn(batch, 3, height, width)
    with torch.no_grad():
        maps = model(image)
        alone = model(image[-1:])
    for out, single, channels, stride in zip(
        maps, alone, model.channels, model.strides, strict=True
    ):
        assert out.shape == (batch, channels, -(-height // stride), -(-width // stride))
        assert out.isfinite().all()
        torch.testing.assert_close(out[-1:], single, rtol=1e-4, atol=1e-4)


@VERSIONS
@pytest.mark.parametrize("gradients", [True, False])
def test_the_order_of_sizes_does_not_matter(version: int, gradients: bool) -> None:
    images = [torch.randn(1 + index % 2, 3, *size) for index, size in enumerate(SIZES)]
    with torch.set_grad_enabled(gradients):
        fresh = [copy.deepcopy(SHARED[version])(image) for image in images]
        forth, back = copy.deepcopy(SHARED[version]), copy.deepcopy(SHARED[version])
        in_order = [forth(image) for image in images]
        reverse = [back(image) for image in reversed(images)][::-1]
    for expected, one, other in zip(fresh, in_order, reverse, strict=True):
        assert equal(one, expected)
        assert equal(other, expected)


@VERSIONS
@pytest.mark.parametrize("training", [True, False])
def test_forward_changes_no_state(version: int, training: bool) -> None:
    model = build(version, drop_path_rate=0.2, dropout=0.1).train(training)
    config = model.config
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    before = {name: (value, value.clone()) for name, value in tensors.items()}
    for size in SIZES:
        image = torch.randn(2, 3, *size)
        kept = image.clone()
        model(image)
        with torch.no_grad():
            model(image)
        assert torch.equal(image, kept)
    after = dict(model.named_parameters()) | dict(model.named_buffers())
    assert after.keys() == before.keys()
    for name, (same, value) in before.items():
        assert after[name] is same
        assert torch.equal(after[name], value)
    assert model.config is config
    assert model.training == training


def test_plans_are_bounded() -> None:
    model = build(depths=(1,), num_heads=(1,), norm_stages=(0,))
    with torch.no_grad():
        first = model(torch.ones(1, 3, 4, 4))
        for side in range(1, KEPT_PLANS + 9):
            model(torch.ones(1, 3, 4 * side, 4))
        assert _kept_plans.cache_info().currsize == KEPT_PLANS
        assert equal(model(torch.ones(1, 3, 4, 4)), first)


def test_no_derived_tensor_in_the_state() -> None:
    for model in SHARED.values():
        assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("channels", [1, 5])
@VERSIONS
def test_other_bands(version: int, channels: int) -> None:
    model = build(version, in_channels=channels)
    assert model(torch.randn(1, channels, 20, 31))[0].shape == (1, 8, 5, 8)
    with pytest.raises(ImageError, match=rf"\(batch, {channels}, height, width\)"):
        model(torch.randn(1, 3, 20, 31))


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 3, 0, 8), (1, 3, 8, 0), (1, 8, 8, 3), (8, 8)])
def test_what_is_no_image_is_refused_in_one_line(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError) as caught:
        SHARED[1](torch.zeros(shape))
    assert "\n" not in str(caught.value)
    assert str(shape) in str(caught.value)


@VERSIONS
@pytest.mark.parametrize("gradients", [True, False])
def test_an_empty_batch(version: int, gradients: bool) -> None:
    with torch.set_grad_enabled(gradients):
        assert SHARED[version](torch.zeros(0, 3, 20, 20))[3].shape == (0, 64, 1, 1)


def test_a_strided_image() -> None:
    image = torch.randn(2, 3, 40, 28)
    with torch.no_grad():
        expected = SHARED[1](image)
        last = SHARED[1](image.to(memory_format=torch.channels_last))
    for own, other in zip(last, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5)


@VERSIONS
def test_kernels_agree(version: int) -> None:
    plain = SwinBackbone(build(version, attention="reference").config).eval()
    plain.load_state_dict(SHARED[version].state_dict())
    image = torch.randn(2, 3, 61, 94)
    for own, other in zip(SHARED[version](image), plain(image), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


def test_drop_path_grows_linearly_and_is_off_in_eval() -> None:
    model = build(drop_path_rate=0.3, depths=(1, 3, 2, 1))
    rates = [block.drop_path_rate for stage in model.stages for block in stage.blocks]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3])
    image = torch.randn(4, 3, 40, 40)
    without = SwinBackbone(build(depths=(1, 3, 2, 1)).config).eval()
    without.load_state_dict(model.state_dict())
    assert equal(model(image), without(image))
    model.train()
    assert not equal(model(image), model(image))


@VERSIONS
def test_gradient_checkpointing_gives_the_same_gradients(version: int) -> None:
    image = torch.randn(2, 3, 37, 50)
    results = []
    for recompute in (False, True):
        torch.manual_seed(0)
        model = build(
            version, gradient_checkpointing=recompute, drop_path_rate=0.5, dropout=0.2
        ).train()
        torch.manual_seed(1)
        maps = model(image)
        sum(out.square().sum() for out in maps).backward()
        results.append((maps, tuple(parameter.grad for parameter in model.parameters())))
    assert equal(results[0][0], results[1][0])
    assert all(gradient is not None for gradient in results[0][1])
    for own, other in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(own, other)


@VERSIONS
@pytest.mark.parametrize("gradients", [True, False])
def test_intermediates(version: int, gradients: bool) -> None:
    model = SHARED[version]
    image = torch.randn(2, 3, 40, 60)
    names = model.intermediate_names()
    with torch.set_grad_enabled(gradients):
        values = model.intermediates(image, names)
        maps = model(image)
    assert set(values) == set(names)
    assert values["patch_embed"].shape == (2, 10, 15, 8)
    for stage, out in enumerate(maps):
        assert torch.equal(values[f"norms.{stage}"].permute(0, 3, 1, 2), out)
        normed = model.norms[str(stage)](values[f"stages.{stage}"])
        torch.testing.assert_close(normed, values[f"norms.{stage}"])
    weights = values["stages.0.blocks.1.attention"]
    assert weights.shape == (2, 3 * 4, 1, 16, 16)
    for name in names:
        if name.endswith("attention"):
            torch.testing.assert_close(values[name].sum(-1), torch.ones(values[name].shape[:-1]))


def test_intermediates_on_request_only_and_by_known_name() -> None:
    image = torch.randn(1, 3, 16, 16)
    assert list(SHARED[1].intermediates(image, ["stages.2"])) == ["stages.2"]
    with pytest.raises(ConfigError, match=r"stages\.9"):
        SHARED[1].intermediates(image, ["stages.9"])


def test_stages_after_the_last_intermediate_do_not_run() -> None:
    model, ran = copy.deepcopy(SHARED[1]), []
    for stage in model.stages:
        stage.blocks[0].norm1.register_forward_hook(lambda module, given, out: ran.append(module))
    image = torch.randn(1, 3, 32, 32)
    model.intermediates(image, ["patch_embed"])
    assert ran == []
    model.intermediates(image, ["norms.0"])
    assert ran == [model.stages[0].blocks[0].norm1]


@VERSIONS
@pytest.mark.parametrize("size", [(128, 128), (50, 70)])
def test_forward_last_is_the_last_map_in_some_order(version: int, size: tuple[int, int]) -> None:
    image = torch.randn(2, 3, *size)
    with torch.no_grad():
        tokens = SHARED[version].forward_last(image)
        last = SHARED[version](image)[-1].flatten(2).transpose(1, 2)
    assert tokens.shape == last.shape
    torch.testing.assert_close(tokens.mean(1), last.mean(1))
    torch.testing.assert_close(tokens.sort(1).values, last.sort(1).values)


@VERSIONS
def test_absolute_positions_at_their_size_and_any_other(version: int) -> None:
    model = build(version, absolute_position_hw=(6, 5))
    assert model.absolute_position is not None
    image = torch.randn(1, 3, 24, 20)
    plain = model.patch_embed(image) + model.absolute_position.flatten(1, 2)
    own = model.intermediates(image, ["patch_embed"])["patch_embed"]
    assert torch.equal(own.flatten(1, 2), plain)
    with torch.no_grad():
        model.absolute_position.fill_(0.5)
    other = torch.randn(1, 3, 45, 33)
    shifted = model.intermediates(other, ["patch_embed"])["patch_embed"].flatten(1, 2)
    torch.testing.assert_close(shifted, model.patch_embed(other) + 0.5)


@VERSIONS
def test_copies_and_pickles_compute_the_same(version: int) -> None:
    model = build(version)
    image = torch.randn(1, 3, 30, 45)
    with torch.no_grad():
        expected = model(image)
        assert equal(copy.deepcopy(model)(image), expected)
        assert equal(pickle.loads(pickle.dumps(model))(image), expected)
        buffer = io.BytesIO()
        torch.save(model, buffer)
        buffer.seek(0)
        assert equal(torch.load(buffer, weights_only=False)(image), expected)
        # A copy lives its own life.
        twin = copy.deepcopy(model)
        for parameter in twin.parameters():
            parameter.mul_(1.5)
        assert not equal(twin(image), expected)
        assert equal(model(image), expected)


@VERSIONS
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_types(version: int, dtype: torch.dtype) -> None:
    image = torch.randn(2, 3, 40, 52)
    model = copy.deepcopy(SHARED[version]).to(dtype)
    with torch.no_grad():
        exact = SHARED[version](image)
        other = model(image.to(dtype))
        with torch.autocast("cpu", torch.bfloat16):
            mixed = SHARED[version](image)
    for own, half, reference in zip(other, mixed, exact, strict=True):
        assert own.dtype == dtype
        for values in (own, half):
            error = (values.float() - reference).square().mean().sqrt()
            assert float(error / reference.std()) <= 0.15


@VERSIONS
def test_inference_mode_and_training_afterwards(version: int) -> None:
    model = build(version)
    image = torch.randn(1, 3, 40, 52)
    with torch.inference_mode():
        model(image)
    sum(out.sum() for out in model.train()(image)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@VERSIONS
def test_eval_follows_a_step_of_the_optimizer(version: int) -> None:
    """Also in eval mode throughout, and with an optimizer that leaves version counters alone."""
    model = build(version)
    image = torch.randn(1, 3, 40, 52)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    with torch.no_grad():
        before = model(image)
    sum(out.square().sum() for out in model(image)).backward()
    optimizer.step()
    with torch.no_grad():
        after = model(image)
        fresh = copy.deepcopy(model).train().eval()(image)
    assert not equal(after, before)
    assert equal(after, fresh)


@VERSIONS
@pytest.mark.parametrize("kernel", ["auto", "sdpa", "reference"])
def test_export_at_a_static_size(version: int, kernel: str) -> None:
    model = build(version, attention=kernel)
    image = torch.randn(1, 3, 50, 70)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with torch.no_grad():
            program = torch.export.export(model, (image,))
            exported, expected = program.module()(image), model(image)
    for own, other in zip(exported, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)
