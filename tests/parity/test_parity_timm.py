"""timm is right where every map fills its windows: it rolls before it pads (timm #2438)."""

from typing import Any

from checkpoint_peers import strengthen, timm_v1
from comparison import compare

# Three stages, so that the last map is larger than its window at each of these sizes.
THREE: dict[str, Any] = {
    "depths": (2, 2, 2),
    "num_heads": (1, 2, 4),
    "embed_dim": 16,
    "num_classes": 11,
    "strict_img_size": False,
}


def test_v1_at_sizes_it_was_not_built_for() -> None:
    from timm.models.swin_transformer import SwinTransformer

    peer = strengthen(SwinTransformer(img_size=224, window_size=7, **THREE))
    sizes = [(224, 224), (224, 448), (336, 224)]
    compare(peer, sizes, lambda model, image: model(image), window_size=7)


def test_v2_at_sizes_it_was_not_built_for() -> None:
    from timm.models.swin_transformer_v2 import SwinTransformerV2

    peer = strengthen(SwinTransformerV2(img_size=256, window_size=8, **THREE))
    sizes = [(256, 256), (256, 384), (512, 256)]
    compare(
        peer,
        sizes,
        lambda model, image: model(image),
        window_size=8,
        pretrained_window_size=0,
    )


def test_v1_built_for_a_size_whose_last_maps_are_narrow() -> None:
    size = (224, 112)
    peer = timm_v1(size, 7)  # type: ignore[arg-type]
    windows = ((7, 7), (7, 7), (7, 7), (7, 4))
    compare(peer, [size], lambda model, image: model(image), window_size=windows)
