"""Object detection and instance segmentation with a Swin backbone.

Legend: B batch, H W pixels, C channels, K classes, N boxes of an image, s side of a mask.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from swinkit.backbones.swin import SwinBackbone
from swinkit.detection.boxes.anchors import AnchorGrid, octave_scales
from swinkit.detection.boxes.assignment import RandomSampler, Sampler
from swinkit.detection.boxes.instances import InstanceTarget, RawDetections
from swinkit.detection.boxes.pooling import RoIPooling
from swinkit.detection.config import DetectorConfig, OutputConfig, RetinaConfig, RPNConfig
from swinkit.detection.network.box import BoxHead
from swinkit.detection.network.fpn import FPN
from swinkit.detection.network.mask import MaskHead
from swinkit.detection.network.retina import RetinaHead
from swinkit.detection.network.roi_heads import RoIStages
from swinkit.detection.network.roi_training import roi_losses
from swinkit.detection.network.rpn import RPNHead
from swinkit.detection.network.semantic import SemanticBranch, paint
from swinkit.detection.predict import predict_detections
from swinkit.detection.roi_config import RoIConfig
from swinkit.errors import ConfigError
from swinkit.images.fitting import Fit
from swinkit.settings import SizeHW
from swinkit.task.info import ModelInfo
from swinkit.task.model import TaskModel


class SwinDetector(TaskModel[Fit]):
    """Backbone, feature pyramid, proposals and RoI heads, or RetinaNet's head on the pyramid.

    Args:
        config: architecture.
        info: class names, preprocessing, metrics, provenance.

    Raises:
        ConfigError: class names that do not fit the model.
    """

    task = "detection"
    prepare_type = Fit

    def __init__(self, config: DetectorConfig, *, info: ModelInfo | None = None) -> None:
        super().__init__()
        self.config = config
        self.num_classes = config.num_classes
        self.backbone = SwinBackbone(config.backbone)
        self.box_heads, self.mask_heads = nn.ModuleList(), nn.ModuleList()
        self.retina: RetinaHead | None = None
        self.rpn: RPNHead | None = None
        self.semantic: SemanticBranch | None = None
        if config.retina is not None:
            self._add_retina(config.retina)
        if config.rpn is not None:
            self._add_proposals(config.rpn)
        if config.roi is not None:
            self._add_stages(config.roi)
        self.info = info or ModelInfo(preprocessing=Fit())

    def _add_retina(self, retina: RetinaConfig) -> None:
        # P3 to P7: the backbone's maps but the finest, and two more.
        widths, strides = self.config.backbone.channels[1:], self.config.backbone.strides[1:]
        channels, levels = self.config.fpn_channels, self.config.num_levels
        self.fpn = FPN(widths, channels, levels, extra="conv")
        anchors = AnchorGrid(_strides(strides, levels), octave_scales())
        self.retina = RetinaHead(
            channels, self.config.num_classes, anchors, num_convs=retina.num_convs
        )

    def _add_proposals(self, rpn: RPNConfig) -> None:
        widths, strides = self.config.backbone.channels, self.config.backbone.strides
        channels, levels = self.config.fpn_channels, self.config.num_levels
        self.fpn = FPN(widths, channels, levels, extra="pool")
        self.rpn = RPNHead(
            channels,
            channels,
            AnchorGrid(_strides(strides, levels), (rpn.scale,), rpn.ratios),
            positive=rpn.positive,
            negative=rpn.negative,
            num_samples=rpn.num_samples,
            positive_fraction=rpn.positive_fraction,
            border=rpn.border,
            box_beta=rpn.box_beta,
        )

    def _add_stages(self, roi: RoIConfig) -> None:
        channels, num_classes = self.config.fpn_channels, self.config.num_classes
        strides = self.config.backbone.strides
        self.pool_boxes = RoIPooling(roi.box.roi_size, strides)
        self.pool_masks = None if roi.mask is None else RoIPooling(roi.mask.roi_size, strides)
        self.pool_semantic: RoIPooling | None = None
        for number in range(len(roi.stages)):
            self.box_heads.append(BoxHead(channels, num_classes, roi.box))
            if roi.mask is not None:
                flow = roi.mask.flow and number > 0
                self.mask_heads.append(MaskHead(channels, num_classes, roi.mask, flow=flow))
        if roi.semantic is not None:
            self.semantic = SemanticBranch(channels, self.config.num_levels, roi.semantic)
            side = roi.box.roi_size if roi.mask is None else roi.mask.roi_size
            self.pool_semantic = RoIPooling(side, strides[roi.semantic.level :][:1])

    predict = predict_detections

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks per stage of the backbone, as layer decay counts them."""
        return self.config.backbone.depths

    def extra_repr(self) -> str:
        return f"{self.config.kind}, {self.num_classes} classes"

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """`B C H W` -> the feature pyramid's maps, finest first."""
        maps = self.backbone(images)
        return list(self.fpn(maps if self.retina is None else maps[1:]))

    def forward(
        self,
        images: Tensor,
        sizes_hw: Sequence[SizeHW] | None = None,
        output: OutputConfig | None = None,
    ) -> list[RawDetections]:
        """Detections of each image, boxes in pixels of the input; for evaluation mode.

        Args:
            images: `B C H W`, normalised, padded right and below.
            sizes_hw: each image without its padding; None: nothing is padded.
            output: which detections to keep; None: the configuration's.
        """
        if sizes_hw is None:
            sizes_hw = [(images.shape[2], images.shape[3])] * images.shape[0]
        if len(sizes_hw) != images.shape[0]:
            raise ConfigError(f"{len(sizes_hw)} sizes for a batch of {images.shape[0]} images")
        output = output or self.config.output
        maps = self.pyramid(images)
        if self.retina is not None:
            assert self.config.retina is not None
            found = self.retina.detect(
                self.retina(maps),
                sizes_hw,
                pre_nms=self.config.retina.pre_nms,
                score_threshold=output.score_threshold,
                suppression=output.suppression,
                max_per_image=output.max_per_image,
            )
            return [
                RawDetections(boxes_xyxy=boxes, scores=scores, labels=labels)
                for boxes, scores, labels, _ in found
            ]
        semantic = None if self.semantic is None else self.semantic(maps)[1]
        return self.roi_stages(semantic).detect(
            maps,
            self.propose(maps, sizes_hw),
            sizes_hw,
            score_threshold=output.score_threshold,
            suppression=output.suppression,
            max_per_image=output.max_per_image,
        )

    def losses(
        self,
        images: Tensor,
        targets: Sequence[InstanceTarget],
        sampler: Sampler | None = None,
        semantic_maps: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Weighted losses of a batch; their sum is the total. Every weight gets a gradient.

        Args:
            images: `B C H W`, normalised, padded right and below.
            targets: one per image, with masks where the detector has mask heads.
            sampler: of the candidates to train on; None: at random.
            semantic_maps: (B, H, W) int64 for the semantic branch, if there is one; None: painted
                from the targets' masks.

        Returns:
            "rpn_objectness", "rpn_box", then "s0_class", "s0_box", "s0_mask" and so on for each
            stage, and "semantic"; for RetinaNet "class" and "box".

        Raises:
            ConfigError: targets without masks for a detector with mask heads, or a number of
                targets other than that of the images.
        """
        if len(targets) != images.shape[0]:
            raise ConfigError(f"{len(targets)} targets for a batch of {images.shape[0]} images")
        sampler = sampler or RandomSampler()
        maps = self.pyramid(images)
        if self.retina is not None:
            return self.retina.losses(self.retina(maps), targets)
        losses, proposals = self._train_proposals(maps, targets, sampler)
        if self.semantic is not None and semantic_maps is None:
            size_hw = (images.shape[2], images.shape[3])
            config = self.semantic.config
            semantic_maps = paint(targets, size_hw, config, self.num_classes, images.device)
        return losses | self.head_losses(maps, proposals, targets, sampler, semantic_maps)

    def head_losses(
        self,
        maps: Sequence[Tensor],
        proposals: Sequence[Tensor],
        targets: Sequence[InstanceTarget],
        sampler: Sampler,
        semantic_maps: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Losses of the RoI stages and the semantic branch on given (N, 4) proposals.

        Args:
            semantic_maps: (B, H, W) int64; needed with a semantic branch.
        """
        losses: dict[str, Tensor] = {}
        features: Tensor | None = None
        if self.semantic is not None:
            if semantic_maps is None:
                raise ConfigError("the semantic branch needs semantic maps to train on")
            logits, features = self.semantic(maps)
            stride = self.config.backbone.strides[self.semantic.config.level]
            losses["semantic"] = self.semantic.loss(logits, semantic_maps, stride)
        stages = self.roi_stages(features)
        return losses | roi_losses(stages, maps, proposals, targets, sampler)

    def roi_stages(self, semantic_features: Tensor | None = None) -> RoIStages:
        """The RoI heads and how they pool.

        Args:
            semantic_features: `B C h w` of the semantic branch, if there is one.
        """
        if self.config.roi is None:
            raise ConfigError(f"{self.config.kind} has no RoI heads")
        return RoIStages(
            config=self.config.roi,
            num_classes=self.num_classes,
            box_heads=self.box_heads,
            mask_heads=self.mask_heads,
            pool_boxes=self.pool_boxes,
            pool_masks=self.pool_masks,
            pool_semantic=self.pool_semantic,
            semantic_features=semantic_features,
        )

    def propose(self, maps: Sequence[Tensor], sizes_hw: Sequence[SizeHW]) -> list[Tensor]:
        """(N, 4) boxes of each image that may hold an object, best first."""
        rpn, settings = self._proposals()
        found = rpn.propose(
            rpn(maps), sizes_hw, settings.test_pre_nms, settings.test_proposals, settings.iou
        )
        return [boxes for boxes, _ in found]

    def _train_proposals(
        self, maps: Sequence[Tensor], targets: Sequence[InstanceTarget], sampler: Sampler
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Losses of the proposals, and the boxes that the RoI stages train on."""
        rpn, settings = self._proposals()
        outputs = rpn(maps)
        found = rpn.propose(
            outputs,
            [target.size_hw for target in targets],
            settings.train_pre_nms,
            settings.train_proposals,
            settings.iou,
        )
        return rpn.losses(outputs, targets, sampler), [boxes for boxes, _ in found]

    def _proposals(self) -> tuple[RPNHead, RPNConfig]:
        if self.rpn is None or self.config.rpn is None:
            raise ConfigError(f"{self.config.kind} has no region proposals")
        return self.rpn, self.config.rpn


def _strides(strides: Sequence[int], number: int) -> tuple[int, ...]:
    """Strides of `number` levels: those of the backbone, then each twice the one before."""
    found = list(strides)
    while len(found) < number:
        found.append(2 * found[-1])
    return tuple(found)
