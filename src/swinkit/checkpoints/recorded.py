"""OpenMMLab's configuration as its training writes it, as text, beside the weights.

The text is Python, but is never run: assignments of constants, lists and `dict(...)` are read from
its syntax tree, anything else counts as unknown.
"""

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from swinkit.detection.config import DetectorConfig, OutputConfig, RCNNConfig, Suppression
from swinkit.errors import ConfigError

LONGEST_TEXT = 1_000_000  # characters; real ones have ten thousand
_SOFT = {"linear": "linear", "gaussian": "gaussian"}


def recorded_model(meta: Mapping[str, object]) -> dict[str, Any]:
    """The `model` of the recorded configuration; empty where there is none to read."""
    text = meta.get("config", meta.get("cfg"))
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        return {}
    try:
        statements = ast.parse(text).body
        for statement in statements:
            if isinstance(statement, ast.Assign) and _named(statement) == "model":
                model = _value(statement.value)
                return model if isinstance(model, dict) else {}
    except (SyntaxError, ValueError, RecursionError):
        return {}
    return {}


def with_recorded(
    config: DetectorConfig, meta: Mapping[str, object], notes: list[str]
) -> DetectorConfig:
    """Box scales and the choice of detections as the training recorded them, where it did."""
    model = recorded_model(meta)
    changed = config
    try:
        changed = _with_anchors(changed, model)
        changed = _with_stds(changed, model)
        changed = _with_output(changed, model)
    except (ConfigError, TypeError, ValueError):
        notes.append("its recorded configuration makes no sense to swinkit and is left aside")
        return config
    if changed != config:
        notes.append("anchors, box coding and choice of detections from its recorded configuration")
    return changed


def _with_anchors(config: DetectorConfig, model: dict[str, Any]) -> DetectorConfig:
    generator = _inside(model, "rpn_head", "anchor_generator")
    if not isinstance(config, RCNNConfig) or not isinstance(generator, dict):
        return config
    scales, ratios = generator.get("scales"), generator.get("ratios")
    if not scales or not ratios or len(scales) != 1:
        return config
    tested = _inside(model, "test_cfg", "rpn") or {}
    rpn = replace(
        config.rpn,
        scale=float(scales[0]),
        ratios=tuple(float(ratio) for ratio in ratios),
        test_pre_nms=int(tested.get("nms_pre", config.rpn.test_pre_nms)),
        test_proposals=int(tested.get("max_per_img", config.rpn.test_proposals)),
    )
    return replace(config, rpn=rpn)


def _with_stds(config: DetectorConfig, model: dict[str, Any]) -> DetectorConfig:
    heads = _inside(model, "roi_head", "bbox_head")
    heads = heads if isinstance(heads, list) else [heads]
    stds = [_inside(head, "bbox_coder", "target_stds") for head in heads]
    if not isinstance(config, RCNNConfig):
        return config
    if len(stds) != len(config.roi.stages) or None in stds:
        return config
    stages = []
    for stage, own in zip(config.roi.stages, stds, strict=True):
        dx, dy, dw, dh = (float(value) for value in own)
        stages.append(replace(stage, stds=(dx, dy, dw, dh)))
    return replace(config, roi=replace(config.roi, stages=tuple(stages)))


def _with_output(config: DetectorConfig, model: dict[str, Any]) -> DetectorConfig:
    tested = _inside(model, "test_cfg", *(["rcnn"] if isinstance(config, RCNNConfig) else []))
    if not isinstance(tested, dict):
        return config
    nms = tested.get("nms")
    suppression = config.output.suppression
    if isinstance(nms, dict):
        soft = nms.get("type") == "soft_nms"
        suppression = Suppression(
            method=_SOFT.get(nms.get("method", "linear"), "linear") if soft else "hard",  # type: ignore[arg-type]
            iou=float(nms.get("iou_threshold") or nms.get("iou_thr") or suppression.iou),
            sigma=float(nms.get("sigma", suppression.sigma)),
            min_score=float(nms.get("min_score", suppression.min_score)),
        )
    output: OutputConfig = replace(
        config.output,
        score_threshold=float(tested.get("score_thr", config.output.score_threshold)),
        max_per_image=int(tested.get("max_per_img", config.output.max_per_image)),
        suppression=suppression,
    )
    return replace(config, output=output)


def _inside(value: Any, *names: str) -> Any:
    """The entry below these names, or None."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _named(statement: ast.Assign) -> str | None:
    target = statement.targets[0]
    return target.id if len(statement.targets) == 1 and isinstance(target, ast.Name) else None


def _value(node: ast.expr) -> Any:
    """Constants, lists, tuples, dictionaries; None for what is anything else."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        return {_value(key): _value(item) for key, item in _pairs(node)}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {keyword.arg: _value(keyword.value) for keyword in node.keywords if keyword.arg}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _value(node.operand)
        return -inner if isinstance(inner, (int, float)) else None
    return None


def _pairs(node: ast.Dict) -> list[tuple[ast.expr, ast.expr]]:
    """Entries with a plain key."""
    return [
        (key, value)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant)
    ]
