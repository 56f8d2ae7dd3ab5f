"""Names of UPerNet and its auxiliary head: OpenMMLab's (0.x and 1.x alike) and transformers'.

The two OpenMMLab generations and the official fork differ in the backbone only.
"""

from swinkit.checkpoints.detectors import NORM
from swinkit.checkpoints.keymap import Entry, same


def _layer(native: str, foreign: str, norm: str) -> tuple[Entry, ...]:
    """Convolution, batch norm and ReLU."""
    return (
        *same(f"{native}.conv", f"{foreign}.conv", leaves=("weight",)),
        *same(f"{native}.norm", f"{foreign}.{norm}", leaves=NORM),
    )


def upernet_entries(*, norm: str, logits: str) -> tuple[Entry, ...]:
    """Rows of the decoder and the auxiliary head.

    Args:
        norm: foreign name of the batch norm behind a convolution.
        logits: foreign name of the last convolution of a head.
    """
    return (
        *_layer("ppm.branches.{stage}", "decode_head.psp_modules.{stage}.1", norm),
        *_layer("ppm.bottleneck", "decode_head.bottleneck", norm),
        *_layer("head.laterals.{stage}", "decode_head.lateral_convs.{stage}", norm),
        *_layer("head.fpn.{stage}", "decode_head.fpn_convs.{stage}", norm),
        *_layer("head.fuse", "decode_head.fpn_bottleneck", norm),
        *same("head.logits", f"decode_head.{logits}"),
        *_layer("auxiliary.convs.{stage}", "auxiliary_head.convs.{stage}", norm),
        *same("auxiliary.logits", f"auxiliary_head.{logits}"),
    )


UPERNET_OPENMMLAB = upernet_entries(norm="bn", logits="conv_seg")
UPERNET_HUGGINGFACE = upernet_entries(norm="batch_norm", logits="classifier")
