"""From images to semantic maps, one by one. K classes, H W pixels of the original image."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import torch

from swinkit.errors import ConfigError
from swinkit.segmentation.predictor import Mapper
from swinkit.segmentation.result import SemanticMap
from swinkit.segmentation.sliding import check_windows
from swinkit.settings import SizeHW
from swinkit.task.base import OnError, Progress
from swinkit.task.predicting import Source, as_list, list_sources, predict_each

if TYPE_CHECKING:
    from swinkit.segmentation.model import SwinSegmenter


def each_map(
    model: "SwinSegmenter",
    source: Source,
    *,
    image_size: int | Literal["original"] | None = None,
    window: SizeHW | int | None = None,
    stride: SizeHW | int | None = None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    keep_probabilities: bool = False,
    batch_size: int = 1,
    on_error: OnError = "raise",
    device: str | torch.device | None = None,
    keep_images: bool = True,
    progress: Progress | None = None,
) -> Iterator[SemanticMap]:
    """The class of every pixel of images: answers one by one, in the order of the source.

    Only a batch of images is in memory at a time. `SwinSegmenter.predict` gives a list of all.

    Args:
        source: path of an image, a directory (searched recursively; frames of a video in the
            order of their numbers) or a glob, an array (H, W) or (H, W, C), a Pillow image, or a
            list of any of these.
        image_size: short side in pixels that images are scaled to; "original" leaves them as they
            are; None takes the model's.
        window: (height, width), or a side, in pixels of the prepared image: slide over it and
            average where windows overlap. Memory then does not grow with the number of classes
            times the pixels of the image, unless probabilities are kept.
        stride: of the window; by default two thirds of it.
        scales: sizes to look at the image in, as factors; their probabilities are averaged.
        flip: look at each scale mirrored as well.
        keep_probabilities: keep (K, H, W) float16 in the result.
        batch_size: images of one size, or windows, in one forward pass.
        on_error: "skip" leaves out images that cannot be read.
        device: moves the model there first; None leaves it where it is.
        keep_images: keep each picture in its result, for `plot`.
        progress: called with (pieces done, all) of an image that is looked at piece by piece.

    Raises:
        ImageError: nothing found, or an unreadable image with on_error="raise".
        ConfigError: settings out of range.
    """
    channels = model.config.backbone.in_channels
    fit = model.preprocessing.for_channels(channels)
    window_hw, stride_hw = _windows(window, stride)
    if not scales or min(scales) <= 0:
        raise ConfigError(f"scales is {tuple(scales)}; give factors above 0, such as 0.75 1 1.25")
    mapper = Mapper(
        model=model,
        fit=fit if image_size is None else fit.of_size(image_size),
        window_hw=window_hw,
        stride_hw=stride_hw,
        scales=tuple(scales),
        flip=flip,
        keep_probabilities=keep_probabilities,
        batch_size=batch_size,
        progress=progress,
    )
    return predict_each(
        model,
        list_sources(source),
        lambda pixels, _: mapper.fit.size_for((pixels.shape[0], pixels.shape[1])),
        lambda batch: mapper.results(batch, keep_images),
        channels=channels,
        batch_size=batch_size,
        on_error=on_error,
        device=device,
    )


predict_maps = as_list(each_map)


def _windows(
    window: SizeHW | int | None, stride: SizeHW | int | None
) -> tuple[SizeHW | None, SizeHW | None]:
    if window is None:
        if stride is not None:
            raise ConfigError("stride without window means nothing; give a window, or neither")
        return None, None
    window_hw = (window, window) if isinstance(window, int) else window
    if stride is None:
        stride = (max(1, window_hw[0] * 2 // 3), max(1, window_hw[1] * 2 // 3))
    stride_hw = (stride, stride) if isinstance(stride, int) else stride
    check_windows(window_hw, stride_hw)
    return window_hw, stride_hw
