"""Semantic segmentation of images: a network with class names, preprocessing and `predict`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from swinkit.images.fitting import Fit
from swinkit.segmentation.config import SegmenterConfig
from swinkit.segmentation.network.layers import resize
from swinkit.segmentation.network.segmenter import SegmentationNetwork
from swinkit.segmentation.predict import SegmentationPredictor, windows_of
from swinkit.segmentation.result import SemanticMap
from swinkit.segmentation.variants import PAPER_FIT, SEGMENTERS
from swinkit.settings import Progress, SizeHW, by_name
from swinkit.task.base import OnError
from swinkit.task.model import Answer, ModelInfo, TaskModel
from swinkit.task.predicting import Source, listed
from swinkit.task.views import TestAugmentation
from swinkit.windows.kernels import Kernel


class SwinSegmenter(SegmentationNetwork, TaskModel[Fit]):
    """A network that gives every pixel a class, with the facts in `info`.

    Called with a tensor of prepared images `B C H W` it gives logits `B K H W`; `predict` takes
    images as they are.

    Args:
        config: architecture.
        info: class names, preprocessing, metrics, provenance.

    Raises:
        ConfigError: class names that do not fit the model.

    Example:
        >>> import torch
        >>> from swinkit import create_segmenter
        >>> model = create_segmenter("unet_swin_nano", class_names=("sky", "road")).eval()
        >>> tuple(model(torch.zeros(1, 3, 40, 52)).shape)
        (1, 2, 40, 52)
    """

    task = "segmentation"
    prepare_type = Fit

    def __init__(self, config: SegmenterConfig, *, info: ModelInfo | None = None) -> None:
        super().__init__(config)
        fit = PAPER_FIT.for_channels(config.backbone.in_channels)
        self.info = info or ModelInfo(preprocessing=fit)

    def predict_iter(
        self,
        source: Source,
        *,
        image_size: int | Literal["original"] | None = None,
        window: SizeHW | int | None = None,
        stride: SizeHW | int | None = None,
        views: TestAugmentation | None = None,
        keep_probabilities: bool = False,
        batch_size: int = 1,
        on_error: OnError = "raise",
        device: str | torch.device | None = None,
        keep_images: bool = True,
        progress: Progress | None = None,
    ) -> Iterator[SemanticMap]:
        """The class of every pixel of images, in the order of the source; `predict` gives a list.

        Only a batch of images is in memory at a time. The model is in evaluation mode until the
        last one has been taken.

        Args:
            source: path of an image, a directory (searched recursively; frames of a video in the
                order of their numbers) or a glob, an array (H, W) or (H, W, C), a Pillow image, or
                a list of any of these.
            image_size: short side in pixels that images are scaled to; "original" leaves them as
                they are; None takes the model's.
            window: (height, width), or a side, in pixels of the prepared image: slide over it and
                average where windows overlap. Memory then does not grow with the number of classes
                times the pixels of the image, unless probabilities are kept.
            stride: of the window; by default two thirds of it.
            views: several sizes, and mirrored images, whose probabilities are averaged.
            keep_probabilities: keep (K, H, W) float16 in the result.
            batch_size: images of one size, or windows, in one forward pass.
            on_error: "skip" leaves out images that cannot be read and logs why; a function is
                called with the error of each instead.
            device: moves the model there first; None leaves it where it is.
            keep_images: keep each picture in its result, for `plot`.
            progress: called with (pieces done, all) of an image that is looked at piece by piece.

        Raises:
            ImageError: nothing found, or an unreadable image with on_error="raise".
            ConfigError: settings out of range.

        Example:
            >>> import numpy as np
            >>> from swinkit import create_segmenter
            >>> model = create_segmenter("unet_swin_nano", class_names=("sky", "road"))
            >>> (found,) = model.predict(np.zeros((48, 64, 3), np.uint8), image_size="original")
            >>> found.labels.shape
            (48, 64)
        """
        fit = self.preprocessing.for_channels(self.config.backbone.in_channels)
        window_hw, stride_hw = windows_of(window, stride)
        predictor = SegmentationPredictor(
            network=self,
            runner=self.runner,
            class_names=self.class_names,
            preprocessing=fit if image_size is None else fit.of_size(image_size),
            window_hw=window_hw,
            stride_hw=stride_hw,
            views=views,
            keep_probabilities=keep_probabilities,
            batch_size=batch_size,
            progress=progress,
        )
        return predictor.predict_iter(
            source, on_error=on_error, device=device, keep_images=keep_images
        )

    predict = listed(predict_iter)
    """`predict_iter`, with all results in a list."""

    def answers(self, images: Tensor, maps: Sequence[Tensor]) -> list[Answer]:
        """The classes that are there, the largest first, each with the pixels that it has here."""

        def log_probabilities(images: Tensor, maps: Sequence[Tensor]) -> Tensor:
            logits = resize(self.decode_maps(images, maps), (images.shape[2], images.shape[3]))
            return logits.log_softmax(1)  # B K H W

        def answer(label: int) -> Answer:
            region = labels == label
            share = 100 * float(region.float().mean())
            return Answer(
                name=f"segment {self.class_names[label]}, {share:.0f} %",
                score=lambda images, maps: log_probabilities(images, maps)[:, label][
                    :, region
                ].mean(1),
            )

        with torch.no_grad():
            labels = log_probabilities(images, maps)[0].argmax(0)  # H W
        sizes = torch.bincount(labels.flatten(), minlength=self.num_classes)
        found = sizes.argsort(descending=True).tolist()
        return [answer(label) for label in found if sizes[label] > 0]


def create_segmenter(
    name: str,
    *,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    in_channels: int = 3,
    window_size: int | tuple[int, int] | None = None,
    drop_path_rate: float | None = None,
    attention: Kernel | None = None,
    gradient_checkpointing: bool = False,
    fit: Fit | None = None,
) -> SwinSegmenter:
    """A segmenter with fresh weights; `swinkit.load` gives trained ones.

    Args:
        name: key of `swinkit.segmentation.variants.SEGMENTERS`, such as "upernet_swin_t".
        num_classes: by default as many as class names, else 150 (ADE20K).
        class_names: one per class.
        in_channels: bands of the image.
        window_size: tokens a side, for all stages; by default the variant's.
        drop_path_rate: stochastic depth; by default the variant's.
        attention: "auto", "sdpa" or "reference"; None keeps the variant's.
        gradient_checkpointing: save memory in training.
        fit: how `predict` prepares an image; by default short side 512, long side at most 2048.

    Raises:
        ConfigError: an unknown name, or settings that contradict each other.

    Example:
        >>> from swinkit import create_segmenter
        >>> model = create_segmenter("upernet_swin_nano", class_names=("sky", "road", "car"))
        >>> model.num_classes, model.config.decoder
        (3, 'upernet')
    """
    config = by_name("segmenter", name, SEGMENTERS)
    backbone = config.backbone.adapted(
        in_channels=in_channels,
        window_size=window_size,
        drop_path_rate=drop_path_rate,
        attention=attention,
        gradient_checkpointing=gradient_checkpointing,
    )
    if num_classes is None:
        num_classes = config.num_classes if class_names is None else len(class_names)
    fit = fit or PAPER_FIT
    info = ModelInfo(
        class_names=None if class_names is None else tuple(class_names),
        preprocessing=fit.for_channels(in_channels),
    )
    return SwinSegmenter(replace(config, backbone=backbone, num_classes=num_classes), info=info)
