"""The recorded detectors: configurations and weights in swinkit's names, recorded samples.

`.json` beside each recording holds mmdet's configuration; the tensors have mmdet's names.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.renaming import read_backbone
from swinkit.checkpoints.report import LoadReport
from swinkit.checkpoints.sources.openmmlab import TABLE
from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.config import OutputConfig, RCNNConfig, RPNConfig
from swinkit.detection.model import SwinRCNN
from swinkit.detection.roi_config import (
    BoxHeadConfig,
    MaskHeadConfig,
    RoIConfig,
    SemanticConfig,
    StageConfig,
)

CASES = ("mm_maskrcnn_case1", "mm_cascade_case1", "mm_htc_case1")

# mmdet's name -> swinkit's, outside the backbone; {s} is the stage of the cascade.
NAMES = (
    (r"neck\.lateral_convs\.(\d+)\.conv\.", r"fpn.lateral.\1."),
    (r"neck\.fpn_convs\.(\d+)\.conv\.", r"fpn.output.\1."),
    (r"rpn_head\.rpn_conv\.", r"rpn.conv."),
    (r"rpn_head\.rpn_cls\.", r"rpn.objectness."),
    (r"rpn_head\.rpn_reg\.", r"rpn.deltas."),
    (r"roi_head\.bbox_head\.(\D)", r"roi_head.bbox_head.0.\1"),
    (r"roi_head\.mask_head\.(\D)", r"roi_head.mask_head.0.\1"),
    (r"roi_head\.bbox_head\.(\d+)\.shared_convs\.(\d+)\.bn\.", r"box_heads.\1.convs.\2.norm."),
    (r"roi_head\.bbox_head\.(\d+)\.shared_convs\.", r"box_heads.\1.convs."),
    (r"roi_head\.bbox_head\.(\d+)\.shared_fcs\.", r"box_heads.\1.fcs."),
    (r"roi_head\.bbox_head\.(\d+)\.fc_cls\.", r"box_heads.\1.scores."),
    (r"roi_head\.bbox_head\.(\d+)\.fc_reg\.", r"box_heads.\1.deltas."),
    (r"roi_head\.mask_head\.(\d+)\.convs\.(\d+)\.conv\.", r"mask_heads.\1.convs.\2."),
    (r"roi_head\.mask_head\.(\d+)\.upsample\.", r"mask_heads.\1.upsample."),
    (r"roi_head\.mask_head\.(\d+)\.conv_logits\.", r"mask_heads.\1.logits."),
    (r"roi_head\.mask_head\.(\d+)\.conv_res\.conv\.", r"mask_heads.\1.flow."),
    (r"roi_head\.semantic_head\.lateral_convs\.(\d+)\.conv\.", r"semantic.laterals.\1."),
    (r"roi_head\.semantic_head\.convs\.(\d+)\.conv\.", r"semantic.convs.\1."),
    (r"roi_head\.semantic_head\.conv_logits\.", r"semantic.logits."),
    (r"roi_head\.semantic_head\.conv_embedding\.conv\.", r"semantic.embedding."),
)


@dataclass(frozen=True)
class Recording:
    """One recorded detector: `values` by key, `facts` of the JSON beside it."""

    name: str
    values: dict[str, Tensor]
    facts: dict[str, Any]

    @property
    def size_hw(self) -> tuple[int, int]:
        height, width = self.facts["img_metas"]["img_shape"]
        return height, width

    @property
    def stage_keys(self) -> list[str]:
        """Prefixes of the stages' recorded outputs."""
        stages = [f"out.stage{stage}" for stage in range(3)]
        return stages if "out.stage0.rois" in self.values else ["out.rcnn"]

    def mask(self, key: str) -> Tensor:
        """A recorded packed mask, unpacked."""
        shape = self.facts["packed_masks"][key]
        bits = np.unpackbits(self.values[key].numpy(), axis=-1, count=shape[-1])
        return torch.from_numpy(bits)

    def double(self) -> "Recording":
        """The same values in float64."""
        values = {
            key: value.double() if value.is_floating_point() else value
            for key, value in self.values.items()
        }
        return replace(self, values=values)

    def noise(self, key: str) -> float:
        """How far the recorded value may be from ours: 1e-5 of its deviation, or its noise."""
        stated = self.facts["numerical_noise"]["values"].get(key, {}).get("float64", 0.0)
        return max(1e-5 * float(self.values[key].std()), 2 * stated)

    def detector(self, **changes: Any) -> SwinRCNN:
        """swinkit's detector with the recorded weights, in evaluation mode."""
        model = SwinRCNN(config_of(self.facts, **changes))
        state = {
            key.removeprefix("state."): value
            for key, value in self.values.items()
            if key.startswith("state.")
        }
        model.load_state_dict(native_names(state))
        return model.eval()

    def target(self, *, padded: bool) -> InstanceTarget:
        """The recorded objects; masks as large as the batch where mmdet's settings say so."""
        masks = self.mask("loss.gt_masks_packed")
        if padded:
            height, width = self.values["input.image"].shape[-2:]
            grown = masks.new_zeros(masks.shape[0], height, width)
            grown[:, : masks.shape[1], : masks.shape[2]] = masks
            masks = grown
        return InstanceTarget(
            boxes_xyxy=self.values["loss.gt_bboxes"],
            labels=self.values["loss.gt_labels"],
            size_hw=self.size_hw,
            masks=masks,
        )


def read_recording(folder: Path, name: str) -> Recording:
    facts = json.loads((folder / f"{name}.json").read_text())
    return Recording(name, load_file(folder / f"{name}.safetensors"), facts)


def native_name(name: str) -> str:
    """mmdet's name of anything outside the backbone in swinkit's spelling."""
    for expression, replacement in NAMES:
        name = re.sub("^" + expression, replacement, name)
    return name


def native_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    backbone = {key: value for key, value in state.items() if key.startswith("backbone.")}
    native = {
        "backbone." + key: value
        for key, value in read_backbone(
            TABLE, backbone, LoadReport(origin="recording", source="mmdet")
        ).tensors.items()
    }
    return native | {native_name(key): value for key, value in state.items() if key not in backbone}


def native_gradients(recording: Recording) -> dict[str, Tensor]:
    """The recorded gradients by swinkit's names."""
    state = {
        key.removeprefix("state."): value
        for key, value in recording.values.items()
        if key.startswith("state.")
    }
    recorded = {
        key.removeprefix("grad."): value
        for key, value in recording.values.items()
        if key.startswith("grad.")
    }
    backbone = {
        key: recorded.get(key, value) for key, value in state.items() if key.startswith("backbone.")
    }
    report = LoadReport(origin="recording", source="mmdet")
    renamed = read_backbone(TABLE, backbone, report)
    found = {
        "backbone." + name: value
        for name, value in renamed.tensors.items()
        if report.renamed.get(name, (f"backbone.{name}",))[0] in recorded
    }
    for key, value in recorded.items():
        if key not in backbone:
            found[native_name(key)] = value
    assert len(found) == len(recorded)
    return found


def config_of(facts: dict[str, Any], **changes: Any) -> RCNNConfig:
    """swinkit's configuration of a recorded one. `changes` go to the masks' settings."""
    config = facts["config"]
    roi, swin, train = config["roi_head"], config["backbone"], config["train_cfg"]
    boxes = _list(roi["bbox_head"])
    kinds = {"MaskRCNN": "mask_rcnn", "CascadeRCNN": "cascade_mask_rcnn"}
    losses = {"L1Loss": "l1", "SmoothL1Loss": "smooth_l1", "GIoULoss": "giou"}
    assigners = [entry["assigner"] for entry in _list(train["rcnn"])]
    weights = roi.get("stage_loss_weights", [1.0])
    htc = "semantic_head" in roi
    test = config["test_cfg"]["rcnn"]
    return RCNNConfig(
        backbone=SwinConfig(
            embed_dim=swin["embed_dims"],
            depths=tuple(swin["depths"]),
            num_heads=tuple(swin["num_heads"]),
            window_size=swin["window_size"],
            norm_stages=(0, 1, 2, 3),
            small_map_rule="keep",
        ),
        kind=kinds.get(config["type"], "htc"),
        num_classes=boxes[0]["num_classes"],
        fpn_channels=config["neck"]["out_channels"],
        rpn=RPNConfig(
            border=train["rpn"]["allowed_border"],
            box_beta=config["rpn_head"]["loss_bbox"].get("beta", 0.0),
            train_proposals=train["rpn_proposal"]["max_per_img"],
        ),
        roi=RoIConfig(
            stages=tuple(
                StageConfig(
                    iou=assigner["pos_iou_thr"],
                    stds=tuple(head["bbox_coder"]["target_stds"]),
                    loss_weight=weight,
                )
                for head, assigner, weight in zip(boxes, assigners, weights, strict=True)
            ),
            box=BoxHeadConfig(
                num_convs=boxes[0].get("num_shared_convs", 0),
                conv_channels=32,
                num_fcs=boxes[0].get("num_shared_fcs", 2),
                fc_channels=boxes[0]["fc_out_channels"],
                norm="batch" if "norm_cfg" in boxes[0] else "none",
                class_agnostic=boxes[0]["reg_class_agnostic"],
            ),
            mask=MaskHeadConfig(
                channels=32, **{"flow": htc, "merge": "last" if htc else "mean", **changes}
            ),
            semantic=SemanticConfig(num_classes=6, channels=32) if htc else None,
            interleaved=htc,
            low_quality=assigners[0].get("match_low_quality", True),
            box_loss=losses[boxes[0]["loss_bbox"]["type"]],
            box_loss_weight=boxes[0]["loss_bbox"]["loss_weight"],
        ),
        output=OutputConfig(score_threshold=test["score_thr"], max_per_image=test["max_per_img"]),
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
