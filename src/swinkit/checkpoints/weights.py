"""Every published weight file of the Swin classifiers, by swinkit's name. Needs no PyTorch.

Sources: README.md and MODELHUB.md of microsoft/Swin-Transformer (accuracies on ImageNet-1K
validation, one centre crop), torchvision/models/swin_transformer.py, and the model cards of timm
and transformers on the Hugging Face hub, which carry the same weights.
"""

from dataclasses import dataclass

_STORAGE = "https://github.com/SwinTransformer/storage/releases/download/"
_TORCHVISION = "https://download.pytorch.org/models/"


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """One file.

    Attributes:
        name: what `swinkit.load` takes: variant, a dot, and what it was trained on.
        variant: key of `swinkit.backbones.variants.VARIANTS`.
        trained_on: in1k, in22k, or in22k then in1k.
        num_classes: of its classifier.
        image_size: side in pixels of training and evaluation.
        top1, top5: accuracy in per cent on ImageNet-1K; None for 22K classifiers.
        url: the publishers' own file; torchvision's carry their hash in the name.
        hub_id: the same weights as safetensors by timm, which `load` prefers.
        transformers_id: the same weights for transformers.
        licence: of the weights.
        publisher: microsoft or torchvision.
        window_size, pretrained_window_size: as the authors' configurations give them.
    """

    name: str
    variant: str
    trained_on: str
    num_classes: int
    image_size: int
    top1: float | None
    top5: float | None
    url: str
    hub_id: str | None = None
    transformers_id: str | None = None
    licence: str = "MIT"
    publisher: str = "microsoft"
    window_size: int = 7
    pretrained_window_size: int = 0

    @property
    def crop_fraction(self) -> float:
        """Side of the centre crop over the short side of the resized image, as evaluated."""
        resized = _RESIZED.get(self.name)
        if resized:
            return self.image_size / resized
        return 0.875 if self.image_size < 384 else 1.0


# torchvision evaluated each file with its own resize.
_RESIZED = {
    "swin_t.torchvision": 232,
    "swin_s.torchvision": 246,
    "swin_b.torchvision": 238,
    "swin_v2_t.torchvision": 260,
    "swin_v2_s.torchvision": 260,
    "swin_v2_b.torchvision": 272,
}


def _v1(
    variant: str,
    trained_on: str,
    accuracy: tuple[float, float] | None,
    release: str,
    stem: str,
    *,
    transformers: str | None = None,
) -> PublishedWeights:
    tags = {"in1k": "", "in22k": "_22k", "in22k_in1k": "_22kto1k"}
    suffix = tags[trained_on]
    if trained_on == "in22k_in1k" and release == "v1.0.8":
        suffix += "_finetune"
    window, size = (int(text) for text in stem.removeprefix("swin_").split("window")[1].split("_"))
    timm = {"in1k": "ms_in1k", "in22k": "ms_in22k", "in22k_in1k": "ms_in22k_ft_in1k"}
    return PublishedWeights(
        name=f"{variant}.{trained_on}",
        variant=variant,
        trained_on=trained_on,
        num_classes=21841 if trained_on == "in22k" else 1000,
        image_size=size,
        top1=accuracy[0] if accuracy else None,
        top5=accuracy[1] if accuracy else None,
        url=f"{_STORAGE}{release}/{stem}{suffix}.pth",
        hub_id=f"timm/{stem}.{timm[trained_on]}" if "c24" not in stem else None,
        transformers_id=f"microsoft/{transformers}" if transformers else None,
        window_size=window,
    )


def _v2(
    variant: str,
    trained_on: str,
    accuracy: tuple[float, float] | None,
    stem: str,
    *,
    image_size: int,
    window_size: int,
    pretrained_window_size: int = 0,
) -> PublishedWeights:
    tag = {"in1k": "", "in22k": "_22k", "in22k_in1k": "_22kto1k_ft"}[trained_on]
    timm = {"in1k": "ms_in1k", "in22k": "ms_in22k", "in22k_in1k": "ms_in22k_ft_in1k"}
    return PublishedWeights(
        name=f"{variant}.{trained_on}",
        variant=variant,
        trained_on=trained_on,
        num_classes=21841 if trained_on == "in22k" else 1000,
        image_size=image_size,
        top1=accuracy[0] if accuracy else None,
        top5=accuracy[1] if accuracy else None,
        url=f"{_STORAGE}v2.0.0/{stem}{tag}.pth",
        hub_id=f"timm/{stem.replace('_patch4', '')}.{timm[trained_on]}",
        transformers_id="microsoft/" + (stem + tag).replace("_", "-"),
        window_size=window_size,
        pretrained_window_size=pretrained_window_size,
    )


def _torchvision(
    variant: str, file: str, top1: float, top5: float, size: int, window: int
) -> PublishedWeights:
    return PublishedWeights(
        name=f"{variant}.torchvision",
        variant=variant,
        trained_on="in1k",
        num_classes=1000,
        image_size=size,
        top1=top1,
        top5=top5,
        url=_TORCHVISION + file,
        licence="BSD-3-Clause",
        publisher="torchvision",
        window_size=window,
    )


_T, _S = "swin_tiny_patch4_window7_224", "swin_small_patch4_window7_224"
_B, _B384 = "swin_base_patch4_window7_224", "swin_base_patch4_window12_384"
_L, _L384 = "swin_large_patch4_window7_224", "swin_large_patch4_window12_384"
_HF_B, _HF_B384 = "swin-base-patch4-window7-224-in22k", "swin-base-patch4-window12-384-in22k"
_HF_L, _HF_L384 = "swin-large-patch4-window7-224", "swin-large-patch4-window12-384"
_V2B, _V2L = "swinv2_base_patch4_window12", "swinv2_large_patch4_window12"

_TABLE = (
    _v1("swin_t", "in1k", (81.2, 95.5), "v1.0.0", _T, transformers=_T.replace("_", "-")),
    _v1("swin_t", "in22k_in1k", (80.9, 96.0), "v1.0.8", _T),
    _v1("swin_t", "in22k", None, "v1.0.8", _T),
    _v1("swin_t_c24_256", "in1k", (81.6, 95.7), "v1.0.5", "swin_tiny_c24_patch4_window8_256"),
    _v1("swin_s", "in1k", (83.2, 96.2), "v1.0.0", _S, transformers=_S.replace("_", "-")),
    _v1("swin_s", "in22k_in1k", (83.2, 97.0), "v1.0.8", _S),
    _v1("swin_s", "in22k", None, "v1.0.8", _S),
    _v1("swin_b", "in1k", (83.5, 96.5), "v1.0.0", _B),
    _v1("swin_b", "in22k_in1k", (85.2, 97.5), "v1.0.0", _B),
    _v1("swin_b", "in22k", None, "v1.0.0", _B, transformers=_HF_B),
    _v1("swin_b_384", "in1k", (84.5, 97.0), "v1.0.0", _B384),
    _v1("swin_b_384", "in22k_in1k", (86.4, 98.0), "v1.0.0", _B384),
    _v1("swin_b_384", "in22k", None, "v1.0.0", _B384, transformers=_HF_B384),
    _v1("swin_l", "in22k_in1k", (86.3, 97.9), "v1.0.0", _L, transformers=_HF_L),
    _v1("swin_l", "in22k", None, "v1.0.0", _L, transformers=_HF_L + "-in22k"),
    _v1("swin_l_384", "in22k_in1k", (87.3, 98.2), "v1.0.0", _L384, transformers=_HF_L384),
    _v1("swin_l_384", "in22k", None, "v1.0.0", _L384, transformers=_HF_L384 + "-in22k"),
    *(
        _v2(
            f"swin_v2_{letter}{'' if window == 8 else '_w16'}",
            "in1k",
            accuracy,
            f"swinv2_{size}_patch4_window{window}_256",
            image_size=256,
            window_size=window,
        )
        for letter, size, window, accuracy in (
            ("t", "tiny", 8, (81.8, 95.9)),
            ("s", "small", 8, (83.7, 96.6)),
            ("b", "base", 8, (84.2, 96.9)),
            ("t", "tiny", 16, (82.8, 96.2)),
            ("s", "small", 16, (84.1, 96.8)),
            ("b", "base", 16, (84.6, 97.0)),
        )
    ),
    *(
        _v2(
            f"swin_v2_{letter}_w12_192",
            "in22k",
            None,
            f"{stem}_192",
            image_size=192,
            window_size=12,
        )
        for letter, stem in (("b", _V2B), ("l", _V2L))
    ),
    *(
        _v2(
            f"swin_v2_{letter}_w12to{window}{'' if size == 256 else '_384'}",
            "in22k_in1k",
            accuracy,
            f"{stem}to{window}_192to{size}",
            image_size=size,
            window_size=window,
            pretrained_window_size=12,
        )
        for letter, stem, window, size, accuracy in (
            ("b", _V2B, 16, 256, (86.2, 97.9)),
            ("b", _V2B, 24, 384, (87.1, 98.2)),
            ("l", _V2L, 16, 256, (86.9, 98.0)),
            ("l", _V2L, 24, 384, (87.6, 98.3)),
        )
    ),
    _torchvision("swin_t", "swin_t-704ceda3.pth", 81.474, 95.776, 224, 7),
    _torchvision("swin_s", "swin_s-5e29d889.pth", 83.196, 96.360, 224, 7),
    _torchvision("swin_b", "swin_b-68c6b09e.pth", 83.582, 96.640, 224, 7),
    _torchvision("swin_v2_t", "swin_v2_t-b137f0e2.pth", 82.072, 96.132, 256, 8),
    _torchvision("swin_v2_s", "swin_v2_s-637d8ceb.pth", 83.712, 96.816, 256, 8),
    _torchvision("swin_v2_b", "swin_v2_b-781e5279.pth", 84.112, 96.864, 256, 8),
)

WEIGHTS: dict[str, PublishedWeights] = {entry.name: entry for entry in _TABLE}


def weights_of(variant: str) -> tuple[PublishedWeights, ...]:
    """The published files of one variant, best known first as the authors list them."""
    return tuple(entry for entry in WEIGHTS.values() if entry.variant == variant)
