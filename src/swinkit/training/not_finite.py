"""Which tensor, and which layer, is the first that is not finite."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


def first_not_finite(tensors: Mapping[str, Any]) -> str | None:
    """The name of the first tensor of numbers with a NaN or an infinite value."""
    numbers = {
        name: value.detach()
        for name, value in tensors.items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }
    # The sum of a finite tensor is finite, but for an overflow; a GPU is waited for once.
    sums = [value.sum(dtype=torch.float64) for value in numbers.values()]
    if not sums or torch.stack(sums).isfinite().all():
        return None
    return next((name for name, value in numbers.items() if not value.isfinite().all()), None)


def _tensors(output: Any) -> list[Tensor]:
    """The tensors that a layer gives, by whatever nesting."""
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, (list, tuple)):
        return [tensor for part in output for tensor in _tensors(part)]
    return [output] if isinstance(output, Tensor) else []


def first_layer_not_finite(model: nn.Module, forward: Callable[[], object]) -> str:
    """The first layer whose output is not finite in a forward pass; "" where all are.

    Leaves no trace in the model.
    """
    found: list[str] = []

    def watch(layer: str, module: nn.Module, inputs: Any, output: Any) -> None:
        parts = {str(place): part for place, part in enumerate(_tensors(output))}
        if not found and first_not_finite(parts) is not None:
            found.append(layer)

    hooks = [
        module.register_forward_hook(partial(watch, layer))
        for layer, module in model.named_modules()
        if layer
    ]
    # The backward pass still needs the buffers as they are: this one moves copies of them.
    buffers = [
        (module, layer, value)
        for module in model.modules()
        for layer, value in module.named_buffers(recurse=False)
    ]
    try:
        for module, layer, value in buffers:
            setattr(module, layer, value.clone())
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            forward()
    finally:
        for module, layer, value in buffers:
            setattr(module, layer, value)
        for hook in hooks:
            hook.remove()
    return found[0] if found else ""
