"""`swinkit.convert`: the same weights in another package's names and files.

Legend: M window (Mh, Mw), T tokens per window, nW windows, H W map.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from swinkit.checkpoints.infer_window import WindowSize, map_hw
from swinkit.checkpoints.load import load
from swinkit.checkpoints.renaming import write_backbone, write_heads
from swinkit.checkpoints.report import ConvertReport, LoadReport
from swinkit.checkpoints.save import Model, backbone_of, state_on_cpu
from swinkit.checkpoints.sources import all_sources, source_of_target
from swinkit.checkpoints.sources.base import Export, Source, WeightFile
from swinkit.checkpoints.sources.tables import KeyTable, Tensors
from swinkit.errors import CheckpointError
from swinkit.images.preprocessing import Preprocessing
from swinkit.registry import get_task, task_weights
from swinkit.settings import SizeHW
from swinkit.task.model import TaskModel
from swinkit.windows.position_bias import log_spaced_coordinates
from swinkit.windows.shift_mask import FORBIDDEN


def convert(
    source: str | Path | Mapping[str, object] | Model,
    out: str | Path,
    *,
    to: str,
    image_size: int | SizeHW | None = None,
    window_size: WindowSize | None = None,
    pretrained_window_size: WindowSize | None = None,
    strict: bool = False,
    report: Callable[[ConvertReport], object] | None = print,
) -> Path:
    """Write a checkpoint, or a model, for another package; bit-exact in both directions.

    A .safetensors file also carries swinkit's header, which other packages pass over: with it the
    way back restores what the layout itself does not tell, V2's window for example.

    Args:
        source: anything `load` takes, or a model.
        out: .safetensors or .pth file; for "huggingface" a folder that `from_pretrained` opens;
            for "native" a .safetensors file.
        to: layout of the result: "native", "microsoft", "timm", "torchvision", "huggingface",
            "mmdet" or "mmseg". "microsoft" means the official detection or segmentation fork
            for models with such heads; "mmdet" and "mmseg" name the backbone alike.
        image_size, window_size, pretrained_window_size, strict: see `load`.
        report: called with the ConvertReport; None keeps quiet.

    Raises:
        CheckpointError: the source cannot be read, or the target cannot express the model.

    Example:
        >>> import swinkit, tempfile
        >>> model = swinkit.create_model("swin_nano", num_classes=10)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = swinkit.convert(model, f"{folder}/nano.pth", to="timm", report=None)
        ...     swinkit.load(path, report=None).num_classes
        10
    """
    target = source_of_target(to)
    loaded: list[LoadReport] = []
    if isinstance(source, nn.Module):
        model: Model = source
    else:
        model = load(
            source,
            image_size=image_size,
            window_size=window_size,
            pretrained_window_size=pretrained_window_size,
            strict=strict,
            report=loaded.append,
        )
    outcome = ConvertReport(
        source=loaded[0].origin if loaded else "a model",
        target=str(out),
        layout=to,
        load=loaded[0] if loaded else None,
    )
    export = _export(model, to, image_size)
    target.write(export, _named_tensors(export, target, outcome), Path(out))
    if report is not None:
        report(outcome)
    return Path(out)


def export_tensors(model: Model, to: str, image_hw: SizeHW) -> Tensors:
    """The model's tensors and the target's persistent buffers under the target's names.

    Raises:
        CheckpointError: the target cannot express the model; says why.
    """
    outcome = ConvertReport(source="a model", target="tensors", layout=to)
    return _named_tensors(_export(model, to, image_hw), source_of_target(to), outcome)


def _export(model: Model, to: str, image_size: int | SizeHW | None) -> Export:
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    task = model.task if isinstance(model, TaskModel) else None
    return Export(
        model=model,
        target=to,
        image_hw=size or _image_hw(model),
        task=task,
        has_heads=task is not None and task_weights(task).head_anchor is not None,
    )


def _image_hw(model: Model) -> SizeHW:
    prepare = model.info.preprocessing if isinstance(model, TaskModel) else None
    if isinstance(prepare, Preprocessing):
        return prepare.size_hw
    config = backbone_of(model).config
    if config.absolute_position_hw is not None:
        height, width = config.absolute_position_hw
        return height * config.patch_size, width * config.patch_size
    # Without a stored size: the smallest that holds every window, as published models are built.
    side = max(
        max(window) * stride for window, stride in zip(config.windows, config.strides, strict=True)
    )
    return side, side


def _named_tensors(export: Export, source: Source, outcome: ConvertReport) -> Tensors:
    """All tensors of the target; what it computes otherwise is noted."""
    config, table = export.backbone, source.table_for(export.backbone)
    own = state_on_cpu(export.model)
    body = {name.removeprefix("backbone."): value for name, value in own.items()}
    heads: Tensors = {}
    if export.has_heads:
        inside = backbone_of(export.model).state_dict()
        native = {name: value for name, value in body.items() if name not in inside}
        body = {name: value for name, value in body.items() if name in inside}
        heads = _named_heads(export, source, native, own, outcome)
    _refuse(table, source.obstacles(config, export.image_hw))
    written = write_backbone(table, body, config.version)
    buffers = _derived_buffers(export, source)
    outcome.written, outcome.derived = len(written) + len(heads), len(buffers)
    outcome.notes += source.differences(config, export.image_hw)
    prefix = source.prefix(export)
    outer = {row.foreign[0].split(".")[0] for row in table.rows if row.outer}
    named = {
        name if not heads and name.split(".")[0] in outer else prefix + name: value.contiguous()
        for name, value in {**written, **buffers}.items()
    }
    return {**named, **heads}


def _named_heads(
    export: Export, source: Source, native: Tensors, names: Tensors, outcome: ConvertReport
) -> Tensors:
    """Necks and heads under the target's names."""
    task, config = str(export.task), export.model.config
    of_target = {
        target: table
        for other in all_sources()
        for table in other.head_tables()
        for target in table.targets
        if table.task == task
    }
    if export.target not in of_target:
        kind = get_task(task).model_kind
        obstacles = [f"{kind}s go to {', '.join(of_target)}, not to {export.target}"]
    else:
        table = of_target[export.target]
        obstacles = table.obstacles(config)
    _refuse(source.table_for(export.backbone), obstacles)
    assumed = table.settings(WeightFile(tensors={}, origin=export.target))
    outcome.notes += task_weights(task).differences(config, assumed)
    return write_heads(table, native, export.target, names)


def _refuse(table: KeyTable, obstacles: list[str]) -> None:
    if obstacles:
        raise CheckpointError(f"{table.title} cannot express this model: {'; '.join(obstacles)}")


def _derived_buffers(export: Export, source: Source) -> Tensors:
    """Buffers that the target stores beside the weights and expects back when it loads strictly."""
    config, table = export.backbone, source.table_for(export.backbone)
    names, (step, first) = source.buffers(config), table.stage_numbering
    buffers: Tensors = {}
    for stage, depth in enumerate(config.depths if names else ()):
        window, trained = config.windows[stage], config.pretrained_windows[stage]
        for number in range(depth):
            made: dict[str, Tensor | None] = {"position index": source.position_index(window)}
            if config.version == 2:
                made["coordinates"] = log_spaced_coordinates(window, trained)[None].clone()
            if number % 2 and "shift mask" in names:
                size_hw = map_hw(export.image_hw, config.patch_size, stage)
                made["shift mask"] = attention_mask(size_hw, window)
            block = table.block.format(stage=step * stage + first, block=number)
            for kind, name in names.items():
                value = made.get(kind)
                if value is not None:
                    buffers[f"{block}.{name}"] = value
    return buffers


def attention_mask(size_hw: SizeHW, window: SizeHW) -> Tensor | None:
    """(nW, T, T) mask of the official classifier in map order, or None where it does not shift."""
    if min(size_hw) <= max(window) or size_hw[0] % window[0] or size_hw[1] % window[1]:
        return None
    axes = []
    for side, extent in zip(size_hw, window, strict=True):
        position = torch.arange(side)
        band = (position >= side - extent).long() + (position >= side - extent // 2).long()
        axes.append(band.view(-1, extent))  # nWh Mh
    rows, columns = axes
    region = 3 * rows[:, None, :, None] + columns[None, :, None, :]  # nWh nWw Mh Mw
    region = region.reshape(-1, window[0] * window[1])  # nW T
    apart = region[:, :, None] != region[:, None, :]
    return torch.zeros(apart.shape).masked_fill_(apart, FORBIDDEN)
