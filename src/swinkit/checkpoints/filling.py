"""From a configuration and tensors to a model: compared on "meta" first, so that nothing is
allocated on the word of a file that contradicts itself."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from swinkit.checkpoints.checkpoint import Checkpoint
from swinkit.errors import CheckpointError, SwinkitError
from swinkit.parsing import reason_of

Module = TypeVar("Module", bound=nn.Module)

# What arithmetic on shapes and numbers that no model has ends in. A TypeError or an AttributeError
# is none of it: those are faults of the code.
_SENSELESS = (ArithmeticError, LookupError, RuntimeError, ValueError)


@contextmanager
def naming(origin: str) -> Iterator[None]:
    """Inside, every refusal names the file. Raises CheckpointError for one that does not."""
    try:
        yield
    except SwinkitError as error:
        if origin in str(error):
            raise
        raise CheckpointError(f"{origin}: {error}") from error


@contextmanager
def understood(origin: str, *more: type[Exception]) -> Iterator[None]:
    """Inside, shapes and settings that no model has become one error, which names the file.

    For the few steps that compute with what the file says; elsewhere such an error is a fault of
    the code, and surfaces.

    Args:
        more: other errors of what is called inside.

    Raises:
        CheckpointError: instead of what the arithmetic raised.
    """
    kinds: tuple[type[Exception], ...] = (*_SENSELESS, *more)
    try:
        yield
    except kinds as error:
        raise CheckpointError(
            f"{origin}: its tensors or settings make no Swin ({reason_of(error)}); get the file "
            "again, or from where it was written"
        ) from error


def filled(
    build: Callable[[], Module], tensors: Mapping[str, Tensor], checkpoint: Checkpoint
) -> Module:
    """The model with the tensors, the backbone's named without `backbone.`; reports each.

    Raises:
        CheckpointError: a tensor of another shape than the model's, or a model of another depth.
    """
    origin = checkpoint.origin
    few = _at_most(2 * len(tensors) + 100, origin)
    # PyTorch answers sizes of more than 64 bits with a TypeError.
    with understood(origin, TypeError), few, torch.device("meta"):
        frame = build().state_dict()
    expected = {name.removeprefix("backbone."): name for name in frame}
    present = {name: value for name, value in tensors.items() if name in expected}
    for name, value in present.items():
        shape = tuple(frame[expected[name]].shape)
        if tuple(value.shape) != shape:
            raise CheckpointError(
                f"{checkpoint.origin}: {name} has shape {tuple(value.shape)}, expected {shape}; "
                "the file contradicts itself"
            )
    report = checkpoint.report
    report.unexpected += [
        " + ".join(report.renamed.get(name, (name,))) for name in tensors if name not in expected
    ]
    report.missing += [
        name for name in expected if name not in present and name not in report.initialized
    ]
    _refuse_large_gaps(frame, expected, report.missing, checkpoint)
    model = build()
    model.load_state_dict({expected[name]: value for name, value in present.items()}, strict=False)
    report.loaded = len(present)
    report.parameters = sum(value.numel() for value in present.values())
    return model


@contextmanager
def _at_most(parameters: int, origin: str) -> Iterator[None]:
    """Stop building a model of many more layers than the file has tensors.

    Raises:
        CheckpointError: that many parameters were made.
    """
    made = 0

    def count(*_: object) -> None:
        nonlocal made
        made += 1
        if made > parameters:
            raise CheckpointError(
                f"{origin}: its header describes more layers than the file has tensors for; the "
                "file contradicts itself"
            )

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


MOST_MISSING = 1 << 28  # numbers of one tensor; ImageNet-22K heads have 2**25


def _refuse_large_gaps(
    frame: Mapping[str, Tensor],
    expected: Mapping[str, str],
    missing: list[str],
    checkpoint: Checkpoint,
) -> None:
    for name in missing:
        if frame[expected[name]].numel() > MOST_MISSING:
            raise CheckpointError(
                f"{checkpoint.origin}: {name} of shape {tuple(frame[expected[name]].shape)} is "
                "missing; the file contradicts itself"
            )
