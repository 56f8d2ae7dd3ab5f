"""`swinkit.export`: a model as a file for another library, kept if it gives the same numbers."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from swinkit.checkpoints.artifact import open_engine, runner_of
from swinkit.checkpoints.save import HEADER, Model, header_of
from swinkit.errors import ConfigError, SwinkitError, one_line
from swinkit.exporting import SUFFIX, Precision, Target
from swinkit.exporting.formats import (
    OPSET,
    Program,
    to_onnx,
    to_openvino,
    write_onnx,
    write_openvino,
    write_program,
)
from swinkit.exporting.graph import INPUT, Graph, trace
from swinkit.exporting.quantize import HELD_OUT, Quantized, agreement, calibration_images, quantize
from swinkit.exporting.verify import SIZES, Verification, compare_at
from swinkit.files import atomic_write
from swinkit.images.preprocessing import Preprocessing
from swinkit.registry import task_weights
from swinkit.settings import SizeHW
from swinkit.task.model import ModelInfo, TaskModel

# How far an output may lie from PyTorch's, in units of its standard deviation.
TOLERANCE = {"fp32": 1e-4, "fp16": 0.1}
USUAL_HW = (224, 224)

Say = Callable[[Any], object]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What `export` wrote.

    Attributes:
        path: the file; OpenVINO's .bin stands beside it.
        verification: how it compares with PyTorch; None where nobody asked.
        quantized: the INT8 networks that were compared, the kept one first.
    """

    path: Path
    verification: Verification | None
    quantized: tuple[Quantized, ...] = ()


def export(
    model: Model,
    path: str | Path,
    *,
    to: Target = "onnx",
    dynamic: bool = False,
    image_size: int | SizeHW | None = None,
    precision: Precision = "fp32",
    int8: str | Path | None = None,
    verify: bool = True,
    say: Say = lambda shown: None,
) -> Exported:
    """Write a model as a file that runs without swinkit, and compare it with PyTorch.

    The file takes "images", `B C H W` float32, prepared: any batch; one size, or any size if
    `dynamic`. A classifier and a segmenter give "logits", a bare backbone "stage0", "stage1", ...
    A detector also takes "sizes_hw", `B 2` int64, each image's height and width without padding.
    Of all N objects above the score of the model's `config.output` it gives "boxes" (N, 4) in
    pixels, "scores", "labels", "image" (their number in the batch), each (N,), and "masks"
    (N, s, s), probabilities inside the boxes, if it makes any. Beside the network stand the class
    names, the preprocessing and the versions.

    Args:
        path: .onnx for ONNX, .xml for OpenVINO, .pt2 for torch.export.
        image_size: pixels, side or (height, width), of a file for one size; None takes the
            model's own.
        precision: of weights and products; inputs and outputs stay float32.
        int8: images, or a data set of the model's task, from which INT8 takes its ranges.
        verify: compare the file with PyTorch; a file that differs is not kept.
        say: called with what is done and found on the way, for a `rich` console.

    Raises:
        ConfigError: settings that contradict each other, a library that is not installed, or a
            file that differs from the model.
        CheckpointError: a model that runs an exported file.
        SwinkitError: the system refused the write.

    Example:
        >>> import swinkit, tempfile
        >>> model = swinkit.create_model("swin_nano", class_names=["cat", "dog"], image_size=32)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     done = swinkit.export(model, f"{folder}/pets.pt2", to="torch-export")
        >>> done.verification.difference < 1e-4
        True
    """
    path = Path(path)
    _check(model, path, to, precision, int8)
    images = None if int8 is None else calibration_images(_whole(model), int8)
    image_hw = _size(model, image_size)
    model = model.eval()
    say("tracing the model")
    graph = trace(model, image_hw, dynamic=dynamic, precision=precision)
    metadata = _metadata(model, graph, precision if int8 is None else "int8")
    sizes = SIZES if dynamic else (image_hw,)
    with tempfile.TemporaryDirectory(prefix="swinkit-export-") as folder:
        draft = Path(folder) / f"draft{SUFFIX[to]}"
        say(f"writing {to}")
        quantized = _draft(model, graph, metadata, draft, to, precision, images, say)
        verification = None
        if verify:
            say("comparing it with PyTorch")
            engine = Program(draft) if to == "torch-export" else open_engine(str(draft))
            verification = compare_at(model, engine, sizes)
            say(verification.table())
            if int8 is None:
                _refuse_if_off(model, verification, to, precision)
        _keep(draft, path)
    return Exported(path=path, verification=verification, quantized=tuple(quantized))


def _draft(
    model: Model,
    graph: Graph,
    metadata: dict[str, str],
    path: Path,
    to: Target,
    precision: Precision,
    images: list[torch.Tensor] | None,
    say: Say,
) -> list[Quantized]:
    """Write what is not compared yet; the INT8 networks that were compared, the written one first.

    Args:
        images: for INT8; None leaves it out.
    """
    if to == "torch-export":
        with _drafting(path):
            write_program(graph, metadata, path)
        return []
    network = to_onnx(graph)
    if to == "openvino":
        network = to_openvino(network)
    quantized: list[Quantized] = []
    if images is not None:
        say(f"quantizing twice on {len(images)} images")
        quantized = _quantized(_whole(model), network, images, to, path)
        network = quantized[0].model
        for one in quantized:
            say(str(one))
    _write(network, metadata, path, to, fp16=precision == "fp16")
    return quantized


def _refuse_if_off(model: Model, found: Verification, to: Target, precision: Precision) -> None:
    """Raise ConfigError for a file that does not give what the model gives."""
    reason = ""
    least = task_weights(model.task).same_answers if isinstance(model, TaskModel) else 0.0
    if found.mean_decisions < least:
        reason = f"shares {found.mean_decisions:.1%} of its answers with the model"
    elif not found.difference <= TOLERANCE[precision]:
        reason = (
            f"differs from the model by {found.difference:.1e} of the outputs' deviation, more "
            f"than {TOLERANCE[precision]:.0e}"
        )
    if reason:
        raise ConfigError(
            f"the {to} file {reason}; it is not kept (another --to may do, or --no-verify)"
        )


def _check(
    model: Model, path: Path, to: Target, precision: Precision, int8: str | Path | None
) -> None:
    if to not in SUFFIX:
        raise ConfigError(f"no target {to!r}; choose one of {', '.join(SUFFIX)}")
    if path.suffix != SUFFIX[to]:
        raise ConfigError(f"{path}: files for {to} end in {SUFFIX[to]}; rename it")
    if precision not in TOLERANCE:
        raise ConfigError(f"no precision {precision!r}; choose one of {', '.join(TOLERANCE)}")
    if int8 is not None and (to == "torch-export" or precision != "fp32"):
        raise ConfigError("INT8 is for onnx and openvino, from fp32; leave one of the two out")
    exact = isinstance(model, TaskModel) and not task_weights(model.task).exported_in_half
    if exact and (int8 is not None or precision != "fp32"):
        raise ConfigError(
            f"models for {model.task} are exported in fp32 alone; leave --precision and --int8 out"
        )


def _whole(model: Model) -> TaskModel[Any]:
    if not isinstance(model, TaskModel):
        raise ConfigError("INT8 compares decisions; a bare backbone makes none")
    return model


def _size(model: Model, image_size: int | SizeHW | None) -> SizeHW:
    """Of the images of a file for one size: what is asked for, else the model's own."""
    if isinstance(image_size, int):
        image_size = (image_size, image_size)
    if image_size is not None:
        if min(image_size) < 1:
            raise ConfigError(f"image_size is {image_size}; give at least 1 pixel a side")
        return image_size
    if isinstance(model, TaskModel) and isinstance(model.preprocessing, Preprocessing):
        return model.preprocessing.size_hw
    return USUAL_HW


def _metadata(model: Model, graph: Graph, precision: str) -> dict[str, str]:
    """swinkit's header, and the facts that a reader without swinkit needs, as JSON by name."""
    from swinkit import __version__

    facts: dict[str, Any] = {
        "outputs": list(graph.outputs),
        "image_size": "any" if graph.image_hw is None else list(graph.image_hw),
        "precision": precision,
        "versions": {"swinkit": __version__, "torch": torch.__version__, "opset": OPSET},
    }
    info = None
    if isinstance(model, TaskModel):
        info = _info(model, graph.image_hw)
        facts["class_names"] = list(model.class_names)
        facts["preprocessing"] = info.preprocessing.to_dict()
    header = header_of(model, info)
    return {HEADER: header[HEADER], **{key: json.dumps(value) for key, value in facts.items()}}


def _info(model: TaskModel[Any], image_hw: SizeHW | None) -> ModelInfo:
    """How images become what the file takes: of one size, they are scaled to it, and padded to a
    square where the model keeps their aspect."""
    own = model.preprocessing
    if image_hw is None:
        return model.info
    if isinstance(own, Preprocessing):
        return replace(model.info, preprocessing=replace(own, size_hw=image_hw))
    side = max(image_hw)
    if min(image_hw) < side:
        return model.info
    fit = replace(own, short_side=side, long_side=side, divisor=side)
    return replace(model.info, preprocessing=fit)


def _quantized(
    model: TaskModel[Any], network: Any, images: list[torch.Tensor], to: Target, draft: Path
) -> list[Quantized]:
    """With SmoothQuant and without, the better one first."""
    seen, unseen = images[:-HELD_OUT], images[-HELD_OUT:]
    if len(seen) < HELD_OUT:  # few images: every second one
        seen, unseen = images[::2], images[1::2]
    found = []
    for smooth in (True, False):
        made = quantize(network, INPUT, seen, smooth=smooth)
        _write(made, {}, draft, to, fp16=False)
        decisions = agreement(model, runner_of(open_engine(str(draft)), model), unseen)
        found.append(Quantized(model=made, smooth=smooth, decisions=decisions))
    return sorted(found, key=lambda one: one.decisions, reverse=True)


def _write(network: Any, metadata: dict[str, str], path: Path, to: Target, *, fp16: bool) -> None:
    with _drafting(path):
        if to == "onnx":
            write_onnx(network, metadata, path)
        else:
            write_openvino(network, metadata, path, fp16=fp16)


@contextmanager
def _drafting(path: Path) -> Iterator[None]:
    """Raise SwinkitError where a draft cannot be written: a full disk, or one file holds less."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        raise SwinkitError(
            f"cannot write a draft in {path.parent}: {one_line(str(error))}; free space there, or "
            "set TMPDIR to another folder"
        ) from error


def _keep(draft: Path, path: Path) -> None:
    """The draft under its name; OpenVINO's tensors first, as the .xml file needs them."""
    for suffix in (".bin", draft.suffix):
        made = draft.with_suffix(suffix)
        if made.exists():
            with atomic_write(path.with_suffix(suffix)) as temporary:
                shutil.copyfile(made, temporary)
