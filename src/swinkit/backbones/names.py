"""Sizes of Swin by the names that people know: swinkit's, timm's, torchvision's, the hub's."""

import re

from swinkit.backbones.variants import VARIANTS, Variant
from swinkit.errors import ConfigError

_FOREIGN = re.compile(
    r"swin_?(?P<version>v2)?_(?P<size>t|s|b|l)(?:iny|mall|ase|arge)?(?:_patch4)?"
    r"(?:_window(?:(?P<before>\d+)to)?(?P<window>\d+))?(?:_(?:\d+to)?(?P<image>\d+))?(?:_\w+)?"
)


def get_variant(name: str, *, pretrained: bool = False) -> Variant:
    """The size of that name, with fresh weights.

    Args:
        pretrained: what other packages call trained weights; `swinkit.load` gives them.

    Raises:
        ConfigError: no such name, or trained weights are asked for; says what to use.
    """
    if name in VARIANTS and not pretrained:
        return VARIANTS[name]
    found = VARIANTS.get(name) or find_foreign(name)
    if found is None:
        raise ConfigError(f"no model named {name!r}; choose one of {', '.join(VARIANTS)}")
    weights = best_weights(found)
    trained = (
        "no trained weights are published" if weights is None else f'swinkit.load("{weights}")'
    )
    if pretrained:
        use = trained if weights is None else f"{trained} gives the published ones"
        raise ConfigError(f"create_model and create_backbone make fresh weights; {use}")
    raise ConfigError(
        f"no model named {name!r}; here it is {found.name!r} with fresh weights, and {trained} "
        "with the published ones"
    )


def find_foreign(name: str) -> Variant | None:
    """The size that timm, torchvision or the Hugging Face hub call so; None where none is it."""
    plain = name.rsplit("/", 1)[-1].split(".")[0].lower().replace("-", "_")
    match = _FOREIGN.fullmatch(plain)
    if match is None:
        return None
    version = 1 if match["version"] is None else 2
    for variant in VARIANTS.values():
        if not variant.name.startswith(f"swin_{'v2_' * (version == 2)}{match['size']}"):
            continue
        config = variant.config
        facts = (config.pretrained_windows[0][0], config.windows[0][0], variant.image_size)
        given = (match["before"] or "0", match["window"], match["image"])
        if all(text in (None, str(fact)) for text, fact in zip(given, facts, strict=True)):
            return variant
    return None


def best_weights(variant: Variant) -> str | None:
    """The name of the published ImageNet weights that suit most people; None where there are none.

    The large ones and those of moved windows were pretrained on ImageNet-22K, and 192 pixels were
    its only training.
    """
    if variant.name.startswith("swin_nano"):
        return None
    if variant.image_size == 192:
        return f"{variant.name}.in22k"
    moved = variant.config.pretrained_windows[0][0] > 0
    large = variant.config.embed_dim == 192
    return f"{variant.name}.{'in22k_in1k' if moved or large else 'in1k'}"
