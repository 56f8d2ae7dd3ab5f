"""FLOPs of a detector as the published tables count them: multiply-adds of one image.

The tables of the Swin papers were made with mmdet's counter at 1280 x 800: convolutions, linear
layers and the products of attention, on maps padded to whole windows; no norms or activations. The
proposals are taken as given: 1000 boxes go through every stage, 100 of them through the mask heads.

Legend: H W map, C channels.
"""

from collections.abc import Sequence

from swinkit.backbones.config import SwinConfig
from swinkit.detection.config import DetectorConfig, RCNNConfig, RetinaNetConfig
from swinkit.detection.roi_config import BoxHeadConfig, MaskHeadConfig, SemanticConfig
from swinkit.settings import SizeHW

NUM_PROPOSALS = 1000
NUM_MASKS = 100


def count_detector_flops(config: DetectorConfig, image_hw: SizeHW = (800, 1280)) -> int:
    """Multiply-adds of one image through backbone, pyramid and heads.

    Source: `tools/analysis_tools/get_flops.py` of mmdet 2 with its `forward_dummy`.
    """
    total = count_padded_backbone(config.backbone, image_hw)
    maps = [_map_of(image_hw, stride) for stride in config.backbone.strides]
    widths = config.backbone.channels
    if isinstance(config, RetinaNetConfig):
        maps, widths = maps[1:], widths[1:]
    channels = config.fpn_channels
    total += sum(
        _area(size) * (width * channels + 9 * channels**2)
        for size, width in zip(maps, widths, strict=True)
    )
    if isinstance(config, RCNNConfig):
        maps = [*maps, _map_of(maps[-1], 2)]
        return total + _proposals(config, maps) + _stages(config, maps)
    assert isinstance(config, RetinaNetConfig)
    for before in (widths[-1], channels):
        maps = [*maps, _map_of(maps[-1], 2)]
        total += _area(maps[-1]) * 9 * before * channels
    return total + _retina(config, maps)


def count_padded_backbone(config: SwinConfig, image_hw: SizeHW) -> int:
    """Multiply-adds of the backbone, attention's on maps padded to windows."""
    grid = _map_of(image_hw, config.patch_size)
    total = float(_area(grid) * config.embed_dim * config.in_channels * config.patch_size**2)
    for stage, depth in enumerate(config.depths):
        size = _map_of(grid, 2**stage)
        channels, window = config.channels[stage], config.windows[stage]
        padded = [-(-side // of) * of for side, of in zip(size, window, strict=True)]
        tokens, in_window = padded[0] * padded[1], window[0] * window[1]
        attention = 4 * tokens * channels**2 + 2 * in_window * tokens * channels
        total += depth * (attention + 2 * _area(size) * channels**2 * config.mlp_ratio)
        if stage < config.num_stages - 1:
            total += _area(_map_of(size, 2)) * 8 * channels**2
    return int(total)


def _proposals(config: RCNNConfig, maps: Sequence[SizeHW]) -> int:
    channels, anchors = config.fpn_channels, len(config.rpn.ratios)
    return sum(map(_area, maps)) * (9 * channels**2 + 5 * anchors * channels)


def _stages(config: RCNNConfig, maps: Sequence[SizeHW]) -> int:
    box = NUM_PROPOSALS * _box(config, config.roi.box)
    mask = NUM_MASKS * _mask(config, config.roi.mask)
    total = len(config.roi.stages) * (box + mask)
    if config.roi.mask is not None and config.roi.mask.flow:
        area = config.roi.mask.roi_size**2
        flows = len(config.roi.stages) - 1
        total += NUM_MASKS * flows * area * config.fpn_channels * config.roi.mask.channels
    if config.roi.semantic is not None:
        total += _semantic(config, config.roi.semantic, maps)
    return total


def _box(config: DetectorConfig, box: BoxHeadConfig) -> int:
    total, width = 0, config.fpn_channels
    for _ in range(box.num_convs):
        total += box.roi_size**2 * 9 * width * box.conv_channels
        width = box.conv_channels
    width *= box.roi_size**2
    for _ in range(box.num_fcs):
        total += width * box.fc_channels
        width = box.fc_channels
    boxes = 1 if box.class_agnostic else config.num_classes
    return total + width * (config.num_classes + 1 + 4 * boxes)


def _mask(config: DetectorConfig, mask: MaskHeadConfig | None) -> int:
    if mask is None:
        return 0
    area, total, width = mask.roi_size**2, 0, config.fpn_channels
    for _ in range(mask.num_convs):
        total += area * 9 * width * mask.channels
        width = mask.channels
    return total + 4 * area * mask.channels * (width + config.num_classes)


def _semantic(config: DetectorConfig, branch: SemanticConfig, maps: Sequence[SizeHW]) -> int:
    area, width = _area(maps[branch.level]), config.fpn_channels
    total = len(maps) * area * width**2
    for _ in range(branch.num_convs):
        total += area * 9 * width * branch.channels
        width = branch.channels
    return total + area * width * (branch.num_classes + config.fpn_channels)


def _retina(config: RetinaNetConfig, maps: Sequence[SizeHW]) -> int:
    channels, head = config.fpn_channels, config.retina
    outputs = head.num_anchors * (config.num_classes + 4)
    each = 2 * head.num_convs * 9 * channels**2 + 9 * channels * outputs
    return sum(map(_area, maps)) * each


def _map_of(size_hw: SizeHW, stride: int) -> SizeHW:
    return -(-size_hw[0] // stride), -(-size_hw[1] // stride)


def _area(size_hw: SizeHW) -> int:
    return size_hw[0] * size_hw[1]
