"""The batch size that fits into memory. B batch, C channels, H W map."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from swinkit.errors import TrainingError
from swinkit.task.model import TaskModel
from swinkit.task.train_config import TrainConfig
from swinkit.task.training import TrainingTask
from swinkit.training.processes import DeviceType, Processes

logger = logging.getLogger(__name__)

MOST = {"cuda": 512, "cpu": 64}  # a CPU gains no speed beyond
SHARE = {"cuda": 0.85, "cpu": 0.5}  # of the memory; on a CPU others need some too
STEPS_PER_EPOCH = 10  # at least, so that a small data set still gets steps


def settle_batch_size(
    config: TrainConfig,
    task: TrainingTask[Any],
    model: TaskModel[Any],
    processes: Processes,
    device: DeviceType,
) -> int:
    """Images per process and forward pass: as set, or what fits into memory."""
    if config.runtime.batch_size != "auto":
        return config.runtime.batch_size
    gpu = device == "cuda"
    size = find_batch_size(
        model,
        task.probe_shape(model),
        device=torch.device("cuda", processes.local_rank) if gpu else torch.device("cpu"),
        bf16=config.runtime.precision == "bf16",
        images=len(task.splits.train) * config.schedule.passes // processes.size,
        processes=1 if gpu else processes.local_size,
        loss=task.probe,
    )
    # Ranks may have measured differently; the first one's answer holds for all.
    size = processes.shared(size)
    logger.info("batch size %d fits into memory", size)
    return size


def find_batch_size(
    model: nn.Module,
    image_shape: tuple[int, int, int],
    *,
    device: torch.device,
    bf16: bool,
    images: int,
    loss: Callable[[nn.Module, Tensor], Tensor],
    processes: int = 1,
    memory_bytes: int | None = None,
) -> int:
    """The greatest power of two whose training step fits into a share of the memory.

    On a GPU by trying; on a CPU, where trying could end the process, by counting what one image
    adds to the tensors kept for the backward pass. The model's weights do not change.

    Args:
        model: the network, moved to `device`.
        image_shape: (C, H, W).
        device: where it will train.
        bf16: whether the run computes in bfloat16.
        images: training images of this process; bounds the batch so that an epoch has steps.
        loss: of the model and images (B, C, H, W).
        processes: of this machine that share its memory; 1 on a GPU, which each has for itself.
        memory_bytes: limit to use instead of what the machine has.

    Raises:
        TrainingError: not even one image fits.
    """

    def step(size: int) -> None:
        images = torch.randn(size, *image_shape, device=device)
        try:
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                value = loss(model, images)
            value.backward()
        finally:
            model.zero_grad(set_to_none=True)

    kind = "cuda" if device.type == "cuda" else "cpu"
    most = _power_of_two(min(MOST[kind], max(1, images // STEPS_PER_EPOCH)))
    # Gradient, AdamW's two averages, and perhaps the average of the weights.
    reserved = 4 * sum(parameter.numel() * 4 for parameter in model.parameters())
    was_training = model.training
    model.to(device).train()
    try:
        if kind == "cuda":
            memory = memory_bytes or torch.cuda.get_device_properties(device).total_memory
            limit = memory * SHARE[kind] - reserved
            fitting = _largest_tried(step, device, most, limit)
        else:
            limit = (memory_bytes or available_memory()) * SHARE[kind] / processes - reserved
            # Growth of the saved tensors from one image to two, plus as much again for gradients.
            per_image = max(1.0, 2.0 * (_saved_bytes(step, 2) - _saved_bytes(step, 1)))
            fitting = int(limit // per_image)
    finally:
        model.train(was_training)
    if fitting < 1:
        raise TrainingError(
            f"not even one image of {image_shape[1]}x{image_shape[2]} pixels fits into "
            f"{max(limit, 0) / 2**30:.1f} GiB; use a smaller model or image_size, or "
            "model.gradient_checkpointing"
        )
    return min(most, _power_of_two(fitting))


def _largest_tried(
    step: Callable[[int], None], device: torch.device, most: int, limit: float
) -> int:
    fitting, size = 0, 1
    while size <= most:
        torch.cuda.reset_peak_memory_stats(device)
        try:
            step(size)
        except torch.OutOfMemoryError:
            break
        finally:
            torch.cuda.empty_cache()
        if torch.cuda.max_memory_allocated(device) > limit:
            break
        fitting, size = size, size * 2
    return fitting


def _saved_bytes(step: Callable[[int], None], size: int) -> int:
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        step(size)
    return sum(storages.values())


def available_memory() -> int:
    """Bytes that this machine, or the container around the process, still has."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    status = Path("/proc/meminfo")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and limit.read_text().strip().isdigit():
        found.append(int(limit.read_text()) - int(used.read_text()))
    return max(0, min(found))


def _power_of_two(number: int) -> int:
    return 1 << (max(1, number).bit_length() - 1)
