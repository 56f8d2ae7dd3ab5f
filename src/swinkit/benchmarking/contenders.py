"""What a benchmark compares: this package's network in every engine, and its peers' in the same."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from swinkit.checkpoints.artifact import open_engine, runner_of
from swinkit.engines import EngineName, RunPrecision
from swinkit.engines.base import is_installed, multiplies_bfloat16, silenced
from swinkit.engines.onnxruntime import OnnxRuntime
from swinkit.engines.openvino import OpenVINO
from swinkit.errors import SwinkitError, one_line
from swinkit.exporting import SUFFIX, Target
from swinkit.exporting.export import export
from swinkit.exporting.quantize import agreement, calibration_images
from swinkit.exporting.running import compiled, in_bfloat16
from swinkit.inference import measure
from swinkit.task.model import TaskModel

Run = Callable[[Tensor], Any]
OURS = "swinkit"
ENGINES: tuple[EngineName, ...] = ("onnxruntime", "openvino")


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One row of the table.

    Attributes:
        package: whose network.
        engine, precision: what runs it.
        make: opens it for batches of that many images.
        file: what it is opened from, where there is a file.
    """

    package: str
    engine: EngineName
    precision: str
    make: Callable[[int], Run]
    file: Path | None = None

    @property
    def name(self) -> str:
        return f"{self.package} {self.engine} {self.precision}"


def own_contenders(
    model: TaskModel[Any], folder: Path, size: int, int8: Path | None, say: Callable[[str], object]
) -> list[Contender]:
    """The model in PyTorch, compiled, and in each engine that is installed.

    Args:
        folder: for exported files.
        int8: images for INT8; None leaves it out.
    """

    def always(run: Run) -> Callable[[int], Run]:
        return lambda batch: run

    found = [
        Contender(package=OURS, engine="eager", precision="fp32", make=always(model)),
        Contender(package=OURS, engine="compiled", precision="fp32", make=always(compiled(model))),
    ]
    in_openvino: tuple[RunPrecision, ...] = ("fp32",)
    if multiplies_bfloat16("cpu"):
        make = always(in_bfloat16(model, model))
        found.insert(1, Contender(package=OURS, engine="eager", precision="bf16", make=make))
        in_openvino = ("fp32", "bf16")
    else:
        say("this processor has no products in bfloat16; bf16 is left out")
    wanted: list[tuple[EngineName, Target, Path | None, tuple[RunPrecision, ...]]] = [
        ("onnxruntime", "onnx", None, ("fp32",)),
        ("openvino", "openvino", None, in_openvino),
    ]
    if int8 is not None:
        wanted.append(("openvino", "openvino", int8, ("fp32",)))
    for engine, target, images, precisions in wanted:
        if not (is_installed(engine) and is_installed("onnxscript")):
            say(f"{engine} is not installed; it is left out")
            continue
        name = f"{engine}{'-int8' if images else ''}"
        say(f"exporting for {name}")
        path = folder / f"{name}{SUFFIX[target]}"
        try:
            export(model, path, to=target, image_size=size, int8=images, verify=False)
        except SwinkitError as error:
            say(f"{name}: {error}")
            continue
        for precision in precisions:
            found.append(
                Contender(
                    package=OURS,
                    engine=engine,
                    precision="int8" if images else precision,
                    make=_opening(model, path, precision),
                    file=path,
                )
            )
    return found


def _opening(model: TaskModel[Any], path: Path, precision: RunPrecision) -> Callable[[int], Run]:
    opened: list[Run] = []

    def make(batch: int) -> Run:
        if not opened:
            opened.append(runner_of(open_engine(str(path), precision), model))
        return opened[0]

    return make


class _Logits(nn.Module):
    """A network of transformers that gives its logits alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images).logits
        return logits


def peer_networks(name: str) -> dict[str, Callable[[], nn.Module]]:
    """The same architecture in the packages that are installed, by package; fresh weights.

    Their stochastic depth is that of the recipe, as torchvision and this package have it.
    """
    version, size = ("v2", name[-1]) if "_v2_" in name else ("", name[-1])
    words, rates = {"t": "tiny", "s": "small", "b": "base"}, {"t": 0.2, "s": 0.3, "b": 0.5}
    if name not in {f"swin_{version}_{s}".replace("__", "_") for s in words}:
        return {}
    window = "window8_256" if version else "window7_224"
    makers: dict[str, Callable[[], nn.Module]] = {}
    if is_installed("timm"):
        import timm

        makers["timm"] = lambda: timm.create_model(
            f"swin{version}_{words[size]}_patch4_{window}", drop_path_rate=rates[size]
        )
    if is_installed("torchvision"):
        from torchvision import models

        makers["torchvision"] = getattr(models, name)
    if is_installed("transformers"):
        makers["transformers"] = lambda: _of_transformers(version, size, rates[size])
    return makers


def _of_transformers(version: str, size: str, drop_path_rate: float) -> nn.Module:
    import transformers

    width, depth = {"t": (96, 6), "s": (96, 18), "b": (128, 18)}[size]
    settings: dict[str, Any] = {
        "num_labels": 1000,
        "drop_path_rate": drop_path_rate,
        "embed_dim": width,
        "depths": [2, 2, depth, 2],
        "num_heads": [width // 32 * 2**stage for stage in range(4)],
        "window_size": 8 if version else 7,
        "image_size": 256 if version else 224,
    }
    if version:
        config = transformers.Swinv2Config(**settings)
        return _Logits(transformers.Swinv2ForImageClassification(config))
    return _Logits(transformers.SwinForImageClassification(transformers.SwinConfig(**settings)))


def peer_contenders(name: str, folder: Path, size: int) -> list[Contender]:
    """Peers' networks in PyTorch, compiled, and through the engines that are installed."""
    found = []
    for package, build in peer_networks(name).items():
        network = build().eval()
        runs: dict[EngineName, Callable[[int], Run]] = {
            "eager": lambda batch, network=network: network,  # type: ignore[misc]
            "compiled": lambda batch, network=network: torch.compile(  # type: ignore[misc]
                network, options={"freezing": True}
            ),
        }
        for engine in ENGINES:
            if is_installed(engine) and is_installed("onnxscript"):
                runs[engine] = _exported_peer(package, network, folder, size, engine)
        found += [
            Contender(package=package, engine=engine, precision="fp32", make=make)
            for engine, make in runs.items()
        ]
    return found


def _exported_peer(
    package: str, network: nn.Module, folder: Path, size: int, engine: str
) -> Callable[[int], Run]:
    """A file for one batch size each, as these networks are usually exported."""

    def make(batch: int) -> Run:
        path = folder / f"{package}-{batch}.onnx"
        if not path.exists():
            with silenced(), torch.no_grad():
                made = torch.onnx.export(
                    network, (torch.rand(batch, 3, size, size),), dynamo=True, verbose=False
                )
                assert made is not None
                made.save(path)
        return OnnxRuntime(path) if engine == "onnxruntime" else OpenVINO(path)

    return make


def attempt(contender: Contender, batch: int) -> Run | str:
    """A contender ready to run, or why it is not."""
    try:
        return contender.make(batch)
    except Exception as error:  # other packages' exports fail in ways of their own
        return one_line(f"{type(error).__name__}: {error}")[:120]


def quality(model: TaskModel[Any], run: Run, data: Path) -> tuple[float, dict[str, float]]:
    """Share of the answers that PyTorch gives in float32, and the metrics.

    Args:
        run: takes the images in the model's place.
    """
    same = agreement(model, run, calibration_images(model, data))
    before, model.runner = model.runner, (None if run is model else run)
    try:
        report, _ = measure(model, data)
    finally:
        model.runner = before
    return same, report.numbers()
