"""What a run changes in its process, and puts back."""

import contextlib
import signal
from collections.abc import Iterator

import torch
from lightning.pytorch import Trainer


@contextlib.contextmanager
def threads(wanted: int | None) -> Iterator[None]:
    """PyTorch computes with that many threads; None leaves its choice."""
    before = torch.get_num_threads()
    if wanted is not None:
        torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def interruptible(trainer: Trainer) -> Iterator[None]:
    """Lightning answers an interrupt by ignoring all later ones and leaving Python; here it stays
    an ordinary KeyboardInterrupt."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as ended:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt from ended
