"""Masked image modeling of images: a network with its preprocessing and `predict`.

B batch, C channels, H W pixels, h w patches.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from swinkit.backbones.names import get_variant
from swinkit.images.preprocessing import Preprocessing
from swinkit.pretraining.config import PUBLISHED_RATIO, MaskedImageConfig
from swinkit.pretraining.masking import check_hidden, draw_mask, masked_config, settle_patch
from swinkit.pretraining.network import MaskedImageNetwork, local_statistics, masked_l1
from swinkit.pretraining.result import Reconstruction
from swinkit.settings import SizeHW
from swinkit.task.base import OnError
from swinkit.task.model import ModelInfo, TaskModel
from swinkit.task.predicting import FixedSizePredictor, InputImage, Source, listed


class SwinMaskedImageModel(MaskedImageNetwork, TaskModel[Preprocessing]):
    """A network that fills in hidden squares of images; its backbone is what it is trained for.

    Called with prepared images `B C H W` and a mask `B h w` it gives the reconstruction `B C H W`;
    `predict` takes images as they are and hides squares of them by chance.

    Args:
        config: architecture.
        info: preprocessing, metrics, provenance.

    Example:
        >>> import torch
        >>> from swinkit import create_masked_image_model
        >>> model = create_masked_image_model("swin_nano", image_size=32).eval()
        >>> mask = torch.zeros(1, 16, 16, dtype=torch.bool)
        >>> tuple(model(torch.zeros(1, 3, 32, 32), mask).shape)
        (1, 3, 32, 32)
    """

    task = "pretraining"
    prepare_type = Preprocessing

    def __init__(self, config: MaskedImageConfig, *, info: ModelInfo | None = None) -> None:
        super().__init__(config)
        channels = config.backbone.in_channels
        self.info = info or ModelInfo(preprocessing=Preprocessing.for_size(224, channels=channels))

    def predict_iter(
        self,
        source: Source,
        *,
        seed: int = 0,
        batch_size: int = 1,
        on_error: OnError = "raise",
        device: str | torch.device | None = None,
        keep_images: bool = True,
    ) -> Iterator[Reconstruction]:
        """Images with squares hidden and filled in again, in the order of the source.

        `predict` gives a list; here only a batch of images is in memory at a time.

        Args:
            source: path of an image, a directory (searched recursively) or a glob, an array, a
                Pillow image, or a list of any of these.
            seed: decides, with the number of the image, what is hidden.
            batch_size: images in one forward pass.
            on_error: "skip" leaves out images that cannot be read and logs why; a function is
                called with the error of each instead.
            device: moves the model there first; None leaves it where it is.
            keep_images: as of other tasks; a reconstruction is nothing without its image.

        Raises:
            ImageError: nothing found, or an unreadable image with on_error="raise".

        Example:
            >>> import numpy as np
            >>> from swinkit import create_masked_image_model
            >>> model = create_masked_image_model("swin_nano", image_size=32)
            >>> (found,) = model.predict(np.zeros((40, 40, 3), np.uint8))
            >>> found.reconstruction.shape
            (32, 32, 3)
        """
        predictor = ReconstructionPredictor(
            network=self,
            class_names=(),
            preprocessing=self.preprocessing.for_channels(self.config.backbone.in_channels),
            batch_size=batch_size,
            random=np.random.RandomState(seed),
        )
        return predictor.predict_iter(
            source, on_error=on_error, device=device, keep_images=keep_images
        )

    predict = listed(predict_iter)
    """`predict_iter`, with all results in a list."""

    def mask_drawer(self) -> Callable[[np.random.RandomState], np.ndarray]:
        """What draws masks (h, w) bool for images of the model's size.

        Raises:
            ConfigError: images of a size that the model's squares do not fill.
        """
        config, size_hw = self.config, self.preprocessing.size_hw
        model_patch = config.backbone.patch_size
        side = settle_patch(size_hw, config.mask_patch, model_patch)
        check_hidden(size_hw, side, config.mask_ratio)
        return partial(_drawn, size_hw, side, model_patch, config.mask_ratio)

    @torch.no_grad()
    def reconstruct(
        self, images: Tensor, mask: Tensor, sources: Sequence[str | None] | None = None
    ) -> list[Reconstruction]:
        """Prepared images `B C H W` with their masks `B h w` as results that can be looked at."""
        values = self.run(images, mask).float().to(images.device)
        targets = self.targets(images)
        hidden = self.hidden(mask, images)
        losses = [
            float(masked_l1(values[i : i + 1], targets[i : i + 1], hidden[i : i + 1]))
            for i in range(len(images))
        ]
        if self.config.neighborhood is not None:
            # Of normalized targets, mean and contrast of the surroundings are the image's own.
            mean, deviation = local_statistics(images, self.config.neighborhood)
            values = values * deviation + mean
        restore = self.preprocessing.restore
        return [
            Reconstruction(
                image=restore(image.cpu().numpy()),
                hidden=hidden[number, 0].cpu().numpy(),
                reconstruction=restore(values[number].cpu().numpy()),
                loss=losses[number],
                source=None if sources is None else sources[number],
            )
            for number, image in enumerate(images.float())
        ]


def _drawn(
    size_hw: SizeHW, side: int, model_patch: int, ratio: float, random: np.random.RandomState
) -> np.ndarray:
    return draw_mask(size_hw, mask_patch=side, model_patch=model_patch, ratio=ratio, random=random)


@dataclass(frozen=True, eq=False, kw_only=True)
class ReconstructionPredictor(FixedSizePredictor[Reconstruction]):
    """Hides squares of images and fills them in."""

    network: SwinMaskedImageModel
    random: np.random.RandomState

    def results(
        self, batch: Sequence[InputImage[np.ndarray]], keep_images: bool
    ) -> list[Reconstruction]:
        """All images of a batch in one forward pass."""
        draw = self.network.mask_drawer()
        masks = np.stack([draw(self.random) for _ in batch])
        images = self.to_network([image.prepared for image in batch])
        mask = torch.from_numpy(masks).to(images.device)
        return self.network.reconstruct(images, mask, [image.name for image in batch])


def create_masked_image_model(
    name: str,
    *,
    image_size: int | tuple[int, int] | None = None,
    in_channels: int = 3,
    window_size: int | tuple[int, int] | None = None,
    drop_path_rate: float = 0.0,
    mask_patch: int | None = None,
    mask_ratio: float = PUBLISHED_RATIO,
    normalize_targets: bool | None = None,
) -> SwinMaskedImageModel:
    """A masked image model with fresh weights, to be pretrained (SimMIM, 2111.09886).

    Args:
        name: key of `swinkit.backbones.variants.VARIANTS`, such as "swin_t".
        image_size: side or (height, width) in pixels; by default the variant's.
        in_channels: bands of the images.
        window_size: tokens a side, for all stages; by default the variant's.
        drop_path_rate: stochastic depth; the paper pretrains without.
        mask_patch: side in pixels of the squares that are hidden; None takes 32, or what fits the
            images.
        mask_ratio: part of them that is hidden.
        normalize_targets: reconstruct pixels normalized by their surroundings of 47 pixels; None
            does so for V2, as its authors.

    Raises:
        ConfigError: an unknown name, or settings that contradict each other.

    Example:
        >>> from swinkit import create_masked_image_model
        >>> create_masked_image_model("swin_nano", image_size=64).config.mask_patch
        16
    """
    variant = get_variant(name)
    backbone = variant.config.adapted(
        in_channels=in_channels, window_size=window_size, drop_path_rate=drop_path_rate
    )
    preprocessing = Preprocessing.for_size(image_size or variant.image_size, channels=in_channels)
    config = masked_config(
        backbone,
        preprocessing.size_hw,
        patch=mask_patch,
        ratio=mask_ratio,
        normalize_targets=normalize_targets,
    )
    return SwinMaskedImageModel(config, info=ModelInfo(preprocessing=preprocessing))
