"""Every named variant: parameters and FLOPs as published, and it can be built."""

import pytest
import torch

from swinkit.backbones.swin import SwinBackbone
from swinkit.backbones.variants import VARIANTS, count_flops
from swinkit.classification.model import SwinClassifier

# From torchvision's documentation of its own weights of these sizes.
EXACT = {
    "swin_t": 28_288_354,
    "swin_s": 49_606_258,
    "swin_b": 87_768_224,
    "swin_v2_t": 28_351_570,
    "swin_v2_s": 49_737_442,
    "swin_v2_b": 87_930_848,
}


@pytest.mark.parametrize("name", VARIANTS)
def test_builds_without_memory_and_has_the_published_size(name: str) -> None:
    variant = VARIANTS[name]
    assert variant.name == name
    with torch.device("meta"):
        model = SwinClassifier(variant.config, num_classes=1000)
    params = sum(parameter.numel() for parameter in model.parameters())
    if variant.params:
        digits = 1 if "." in variant.params else 0  # small ones are stated with a decimal
        assert f"{params / 1e6:.{digits}f}M" == variant.params
    if name in EXACT:
        config = variant.config
        # torchvision's V2 also stores the key's bias, which is always zero.
        key_bias = sum(c * d for c, d in zip(config.channels, config.depths, strict=True))
        assert params == EXACT[name] - (key_bias if config.version == 2 else 0)


# The official rule counts 103.952 where the tables print 103.9, the number without block norms.
PRINTED_OTHERWISE = {"swin_l_384": "103.952"}


@pytest.mark.parametrize("name", [name for name in VARIANTS if VARIANTS[name].flops])
def test_flops_as_printed(name: str) -> None:
    variant = VARIANTS[name]
    flops = count_flops(variant.config, (variant.image_size, variant.image_size))
    if name in PRINTED_OTHERWISE:
        assert f"{flops / 1e9:.3f}" == PRINTED_OTHERWISE[name]
        assert PRINTED_OTHERWISE[name].startswith(variant.flops.removesuffix("G"))
    else:
        assert f"{flops / 1e9:.1f}G" == variant.flops


@pytest.mark.parametrize("name", ["swin_t", "swin_v2_t", "swin_nano"])
def test_runs_at_another_size(name: str) -> None:
    model = SwinBackbone(VARIANTS[name].config).eval()
    with torch.no_grad():
        maps = model(torch.randn(1, 3, 45, 70))
    for out, channels, stride in zip(maps, model.channels, model.strides, strict=True):
        assert out.shape == (1, channels, -(-45 // stride), -(-70 // stride))
