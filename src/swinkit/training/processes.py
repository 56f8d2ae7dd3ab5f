"""One process, or several that `torchrun` started: their device, their threads, an interrupt."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Literal, NoReturn, TypeVar

import torch
from lightning.pytorch import Trainer
from torch import distributed

from swinkit.engines import RunPrecision
from swinkit.engines.base import multiplies_bfloat16
from swinkit.errors import ConfigError, Terminated

Value = TypeVar("Value")
DeviceType = Literal["cpu", "cuda"]


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among those of the run."""

    rank: int = 0
    local_rank: int = 0
    size: int = 1
    local_size: int = 1

    @classmethod
    def from_torchrun(cls) -> "Processes":
        """As torchrun tells; a single process otherwise."""
        if not distributed.is_torchelastic_launched():
            return cls()
        return cls(
            rank=int(os.environ["RANK"]),
            local_rank=int(os.environ["LOCAL_RANK"]),
            size=int(os.environ["WORLD_SIZE"]),
            local_size=int(os.environ["LOCAL_WORLD_SIZE"]),
        )

    @property
    def command(self) -> str:
        """What starts as many again; of several machines, each has its own words in between."""
        if self.size == 1:
            return "swinkit"
        more = " ..." if self.size > self.local_size else ""
        return f"torchrun{more} --nproc-per-node {self.local_size} -m swinkit"

    @contextlib.contextmanager
    def connected(self, device: DeviceType) -> Iterator[None]:
        """Connect the processes, before Lightning would: the run folder has to be agreed on."""
        if self.size == 1 or distributed.is_initialized():
            yield
            return
        if device == "cuda":
            torch.cuda.set_device(self.local_rank)
        distributed.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo")
        try:
            yield
        finally:
            distributed.destroy_process_group()

    def shared(self, value: Value) -> Value:
        """The first process's value, in every process."""
        if self.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]


def find_device(wanted: Literal["auto", "cpu", "cuda"]) -> DeviceType:
    """The kind of device to compute on.

    Raises:
        ConfigError: a GPU is wanted and there is none.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise ConfigError("runtime.device is cuda, but PyTorch finds no GPU here; use auto or cpu")
    return "cuda" if available and wanted != "cpu" else "cpu"


def find_precision(wanted: Literal["auto", "fp32", "bf16"], device: DeviceType) -> RunPrecision:
    """In what is multiplied: "auto" takes bfloat16 where the device multiplies in it."""
    if wanted == "auto":
        return "bf16" if multiplies_bfloat16(device) else "fp32"
    return wanted


@contextlib.contextmanager
def threads(wanted: int | None) -> Iterator[None]:
    """PyTorch computes with that many threads; None leaves it as it is."""
    before = torch.get_num_threads()
    if wanted is not None:
        torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _terminate(signal_number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def answer_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does; only the main thread may say so."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises Terminated inside."""
    before = signal.getsignal(signal.SIGTERM)
    answer_sigterm()
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


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
        kind = Terminated if isinstance(ended.__context__, Terminated) else KeyboardInterrupt
        raise kind from ended
