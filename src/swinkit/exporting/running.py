"""Choosing what a trained model's images go through: PyTorch, compiled or not, or an engine."""

import contextlib
import copy
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from swinkit.checkpoints.artifact import runner_of
from swinkit.engines import EngineName, RunPrecision
from swinkit.engines.base import SLOW_BFLOAT16, Engine, is_installed, multiplies_bfloat16
from swinkit.errors import CheckpointError, ConfigError, SwinkitError
from swinkit.exporting.kept import is_kept, kept_network
from swinkit.registry import task_weights
from swinkit.task.model import TaskModel

Runner = Callable[..., Any]
Say = Callable[[str], object]

# Engines from the fastest, and the share of PyTorch's time that each saves at least on processors
# with AVX2 and with AVX-512.
SAVED = {"openvino": 0.2, "onnxruntime": 0.1}
# Seconds to export a network, and to open one that is kept.
EXPORTING, OPENING = 20.0, 2.0
# Largest difference at which `auto` trusts an engine, of the outputs' standard deviation.
SAME = 1e-3


def run_through(
    model: TaskModel[Any],
    engine: EngineName,
    say: Say | None = None,
    *,
    precision: RunPrecision = "fp32",
) -> None:
    """Send the images of later predictions through an engine.

    Args:
        model: on the CPU for any but "eager" and "compiled".
        say: called with a line on what "auto" chose and why, and on bf16 that does not pay.
        precision: of products; bf16 is for eager, compiled and openvino.

    Raises:
        ConfigError: an unknown engine, one that is not installed, or a model on a GPU.
        CheckpointError: a model that runs an exported file, for any engine but "auto" and its own.
    """
    if model.file_engine is not None:
        if engine in ("auto", model.file_engine) and precision == "fp32":
            return
        raise CheckpointError(
            f"an exported file runs through {model.file_engine} in its own precision; leave "
            "--engine and --precision out, or name the weights that it was made from"
        )
    if precision == "bf16" and say is not None and not multiplies_bfloat16(model.device.type):
        say(SLOW_BFLOAT16)
    if precision == "bf16" and engine == "auto":
        engine = "openvino" if is_kept(model) and is_installed("openvino") else "eager"
    if engine == "eager":
        model.runner = None if precision == "fp32" else in_bfloat16(model, model)
    elif engine == "compiled":
        model.runner = compiled(model, precision)
    elif engine == "auto":
        usable = model.device.type == "cpu" and model.runner is None
        names = [name for name in SAVED if is_installed(name) and is_installed("onnxscript")]
        if usable and names:
            model.runner = Auto(model, names[0], say or (lambda line: None))
    elif engine in SAVED:
        if model.device.type != "cpu":
            raise ConfigError(f"{engine} runs on the CPU; leave --device out, or take eager")
        model.runner = runner_of(opened(model, engine, precision), model)
    else:
        raise ConfigError(
            f"no engine {engine!r}; choose auto, eager, compiled, {', '.join(reversed(SAVED))}"
        )


def opened(model: TaskModel[Any], engine: str, precision: RunPrecision = "fp32") -> Engine:
    """An engine with the model's network, exported once and kept."""
    if engine == "onnxruntime" and precision != "fp32":
        raise ConfigError("onnxruntime multiplies in fp32 on a CPU; take openvino for bf16")
    path = kept_network(model)
    if engine == "onnxruntime":
        from swinkit.engines.onnxruntime import OnnxRuntime

        return OnnxRuntime(path)
    from swinkit.engines.openvino import OpenVINO

    return OpenVINO(path, precision=precision, cache=path.parent / "openvino")


def in_bfloat16(run: Runner, model: TaskModel[Any]) -> Runner:
    """PyTorch with products in bfloat16; sums, norms and softmax stay in float32."""

    def answer(images: Tensor, *rest: Any) -> Any:
        weight = next(model.parameters())
        with torch.autocast(weight.device.type, torch.bfloat16):
            found = run(images.to(weight), *rest)
        return found.float() if isinstance(found, Tensor) else found

    return answer


def compiled(model: TaskModel[Any], precision: RunPrecision = "fp32") -> Runner:
    """The model under torch.compile, on a CPU with its weights as constants."""
    device = model.device.type
    options: dict[str, Any] = {"freezing": True} if device == "cpu" else {"triton.cudagraphs": True}
    part = task_weights(model.task).compiled_part
    network = copy.copy(model)  # with the same weights
    setattr(network, part, torch.compile(getattr(model, part), options=options))

    def run(images: Tensor, *rest: Any) -> Any:
        with torch.no_grad():
            return network(images.to(next(model.parameters())), *rest)

    return run if precision == "fp32" else in_bfloat16(network, model)


class Auto:
    """PyTorch, until it has taken as long as an engine would have saved by then what it costs.

    So one image never waits for an engine, and many images lose little before they have one.
    """

    def __init__(self, model: TaskModel[Any], engine: str, say: Say) -> None:
        self.model, self.engine, self.say = model, engine, say
        self.seconds = 0.0
        self.cost = OPENING
        self.chosen: Runner | None = None

    def __call__(self, images: Tensor, *rest: Any) -> Any:
        if self.chosen is not None:
            with contextlib.suppress(ConfigError):  # outputs that the file does not hold
                return self.chosen(images, *rest)
        images = images.to(next(self.model.parameters()))
        start = time.perf_counter()
        found = self.model(images, *rest)
        self.seconds += time.perf_counter() - start
        if self._pays():
            self.chosen = self._choose(found, images, *rest)
        return found

    def _pays(self) -> bool:
        """Whether the seconds so far are worth an engine."""
        saved = self.seconds * SAVED[self.engine]
        if saved <= self.cost:
            return False
        if self.cost == OPENING and not is_kept(self.model):  # which reads all weights, once
            self.cost = EXPORTING
        return saved > self.cost

    def _choose(self, expected: Any, images: Tensor, *rest: Any) -> Runner:
        """The engine, if it can be had and gives what PyTorch gives."""
        try:
            runner = runner_of(opened(self.model, self.engine), self.model)
            weights, image_hw = task_weights(self.model.task), (images.shape[2], images.shape[3])
            found = weights.compare(runner(images, *rest), expected, image_hw)
            agrees = found.difference <= SAME and found.same >= weights.same_answers
            reason = "" if agrees else "it gives other numbers"
        except SwinkitError as error:
            reason = str(error)
        if reason:
            self.say(f"engine: PyTorch, not {self.engine}: {reason}")
            return self.model
        self.say(f"engine: {self.engine}, after {self.seconds:.0f} s of PyTorch, for it is faster")
        return runner


def say_on_stderr(line: str) -> None:
    print(f"swinkit: {line}", file=sys.stderr)
