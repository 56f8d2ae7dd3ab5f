"""Every published detector and segmenter that swinkit builds, by its name. Needs no PyTorch.

Sources: README.md of SwinTransformer/Swin-Transformer-Object-Detection and of
SwinTransformer/Swin-Transformer-Semantic-Segmentation; configs/swin/metafile.yml of mmdetection
and configs/swin/metafile.yaml of mmsegmentation, whose files carry their hash in the name. The
official forks publish no hashes. Scores are per cent on COCO val2017 and on ADE20K's validation
images, one scale.
"""

from dataclasses import dataclass
from typing import Literal

_STORAGE = "https://github.com/SwinTransformer/storage/releases/download/"
_MMDET = "https://download.openmmlab.com/mmdetection/v2.0/swin/"
_MMSEG = "https://download.openmmlab.com/mmsegmentation/v0.5/swin/"

DenseTask = Literal["detection", "segmentation"]


@dataclass(frozen=True, kw_only=True)
class PublishedDense:
    """One file.

    Attributes:
        name: what `swinkit.load` takes: variant, a dot, and what it was trained on.
        variant: name of the detector or segmenter.
        trained_on: data set and schedule.
        num_classes: without background.
        box_ap, mask_ap: on COCO val2017, per cent; None for segmenters.
        miou, miou_augmented: on ADE20K, per cent, one scale, and several scales and flipped.
        url: the publishers' own file.
        hub_id: the same weights on the Hugging Face hub, which `load` prefers.
        licence: of the publishers' repository.
    """

    name: str
    variant: str
    task: DenseTask
    trained_on: str
    num_classes: int
    url: str
    publisher: str
    box_ap: float | None = None
    mask_ap: float | None = None
    miou: float | None = None
    miou_augmented: float | None = None
    hub_id: str | None = None
    licence: str = "Apache-2.0"

    @property
    def metrics(self) -> dict[str, float]:
        """The published scores, by the names that a model's `info.metrics` uses."""
        scores = {
            "coco_box_ap": self.box_ap,
            "coco_mask_ap": self.mask_ap,
            "ade20k_miou": self.miou,
        }
        return {name: score for name, score in scores.items() if score is not None}


def _detector(
    variant: str, tag: str, schedule: str, scores: tuple[float, float], url: str, publisher: str
) -> PublishedDense:
    return PublishedDense(
        name=f"{variant}.{tag}",
        variant=variant,
        task="detection",
        trained_on=f"COCO {schedule}",
        num_classes=80,
        box_ap=scores[0],
        mask_ap=scores[1],
        url=url,
        publisher=publisher,
    )


def _official(
    kind: str, letter: str, schedule: str, scores: tuple[float, float], *, moby: bool = False
) -> PublishedDense:
    size = {"t": "tiny", "s": "small", "b": "base"}[letter]
    stem = f"{kind}_swin_{size}_patch4_window7"
    if moby:
        stem = f"moby_{stem}_{schedule}"
    elif schedule == "1x":
        stem += "_1x"
    release = "v1.0.3" if moby or schedule == "1x" else "v1.0.2"
    return _detector(
        f"{kind}_swin_{letter}",
        f"{'moby_' if moby else ''}coco_{schedule}",
        f"{schedule}{', backbone from MoBY' if moby else ''}",
        scores,
        f"{_STORAGE}{release}/{stem}.pth",
        "SwinTransformer",
    )


def _mmdet(
    letter: str, schedule: str, scores: tuple[float, float], folder: str, file: str
) -> PublishedDense:
    return _detector(
        f"mask_rcnn_swin_{letter}",
        f"mmdet_{schedule}",
        schedule,
        scores,
        f"{_MMDET}{folder}/{folder}_{file}.pth",
        "OpenMMLab",
    )


def _segmenter(
    letter: str,
    tag: str,
    scores: tuple[float, float],
    url: str,
    publisher: str,
    pretrained: str = "in1k",
) -> PublishedDense:
    return PublishedDense(
        name=f"upernet_swin_{letter}.{tag}",
        variant=f"upernet_swin_{letter}",
        task="segmentation",
        trained_on=f"ADE20K 160k, backbone {pretrained}",
        num_classes=150,
        miou=scores[0],
        miou_augmented=scores[1],
        url=url,
        publisher=publisher,
    )


def _mmseg(
    letter: str, scores: tuple[float, float], size: str, file: str, pretrained: str
) -> PublishedDense:
    stem = f"upernet_swin_{size}_patch4_window7_512x512_160k_ade20k_pretrain_224x224_{pretrained}"
    if letter == "l":
        stem = "upernet_swin_large_patch4_window7_512x512_pretrain_224x224_22K_160k_ade20k"
    tag = "mmseg_ade20k" if pretrained == "1K" else "mmseg_in22k_ade20k"
    url = f"{_MMSEG}{stem}/{stem}_{file}.pth"
    return _segmenter(letter, tag, scores, url, "OpenMMLab", f"in{pretrained.lower()}")


_UPERNET = _STORAGE + "v1.0.1/upernet_swin_{size}_patch4_window7_512x512.pth"

_TABLE = (
    _official("mask_rcnn", "t", "1x", (43.7, 39.8)),
    _official("mask_rcnn", "t", "3x", (46.0, 41.6)),
    _official("mask_rcnn", "s", "3x", (48.5, 43.3)),
    _official("cascade_mask_rcnn", "t", "1x", (48.1, 41.7)),
    _official("cascade_mask_rcnn", "t", "3x", (50.4, 43.7)),
    _official("cascade_mask_rcnn", "s", "3x", (51.9, 45.0)),
    _official("cascade_mask_rcnn", "b", "3x", (51.9, 45.0)),
    _official("mask_rcnn", "t", "1x", (43.6, 39.6), moby=True),
    _official("mask_rcnn", "t", "3x", (46.0, 41.7), moby=True),
    _official("cascade_mask_rcnn", "t", "1x", (48.1, 41.5), moby=True),
    _official("cascade_mask_rcnn", "t", "3x", (50.2, 43.5), moby=True),
    _mmdet(
        "t", "1x", (42.7, 39.3), "mask_rcnn_swin-t-p4-w7_fpn_1x_coco", "20210902_120937-9d6b7cfa"
    ),
    _mmdet(
        "t",
        "3x",
        (46.0, 41.6),
        "mask_rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco",
        "20210906_131725-bacf6f7b",
    ),
    _mmdet(
        "s",
        "3x",
        (48.2, 43.2),
        "mask_rcnn_swin-s-p4-w7_fpn_fp16_ms-crop-3x_coco",
        "20210903_104808-b92c91f1",
    ),
    *(
        _segmenter(letter, "ade20k", scores, _UPERNET.format(size=size), "SwinTransformer")
        for letter, size, scores in (
            ("t", "tiny", (44.51, 45.81)),
            ("s", "small", (47.64, 49.47)),
            ("b", "base", (48.13, 49.72)),
        )
    ),
    _segmenter(
        "t",
        "moby_ade20k",
        (44.06, 45.58),
        f"{_STORAGE}v1.0.3/moby_upernet_swin_tiny_patch4_window7_512x512.pth",
        "SwinTransformer",
        "MoBY",
    ),
    _mmseg("t", (44.41, 45.79), "tiny", "20210531_112542-e380ad3e", "1K"),
    _mmseg("s", (47.72, 49.24), "small", "20210526_192015-ee2fff1c", "1K"),
    _mmseg("b", (47.99, 49.57), "base", "20210526_192340-593b0e13", "1K"),
    _mmseg("b", (50.13, 51.9), "base", "20210526_211650-762e2178", "22K"),
    _mmseg("l", (51.17, 52.99), "large", "20220318_015320-48d180dd", "22K"),
)

DENSE_WEIGHTS: dict[str, PublishedDense] = {entry.name: entry for entry in _TABLE}


def dense_weights_of(variant: str) -> tuple[PublishedDense, ...]:
    """The published files of one detector or segmenter."""
    return tuple(entry for entry in DENSE_WEIGHTS.values() if entry.variant == variant)
