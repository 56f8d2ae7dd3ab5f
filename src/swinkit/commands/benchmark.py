"""`swinkit benchmark`: what runs a network how fast on this machine, in one table."""

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swinkit.console import standard_output
from swinkit.errors import ConfigError
from swinkit.files import atomic_write, check_place
from swinkit.task.options import check_range

if TYPE_CHECKING:
    from swinkit.benchmarking.contenders import Contender
    from swinkit.benchmarking.table import Row
    from swinkit.engines import RunPrecision
    from swinkit.task.model import TaskModel


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Time a network in PyTorch, compiled, in ONNX Runtime and OpenVINO, in turns in one run.

    Engines that are not installed are left out, which is said.
    """

    weights: str | None = None
    """What to time: a weight file, a published name, a hub id or a URL."""
    model: str | None = None
    """Or the name of a network, with fresh weights: swin_t, upernet_swin_t, ..."""
    data: Path | None = None
    """Labeled images: the metric of each, and INT8, which takes its ranges from them."""
    peers: bool = False
    """Time the network of timm, torchvision and transformers too, through the same engines."""
    batch: tuple[int, ...] = (1, 16)
    """Images in one forward pass."""
    rounds: int = 7
    """How often each takes its turn; the median counts."""
    threads: int | None = None
    """Of the processor; None: all."""
    image_size: int | None = None
    """Side in pixels; None takes the model's own."""
    compiled: bool = True
    """Time torch.compile too, which takes minutes to make."""
    memory: bool = True
    """Peak memory and cold start, in a fresh process each."""
    json: Path | None = None
    """Write the numbers to this file."""
    plot: Path | None = None
    """Draw the times into this picture."""

    def run(self) -> None:
        """Measure and print. Raises SwinkitError for unusable weights or settings."""
        self._check()
        import torch

        from swinkit.benchmarking.table import machine, to_json, to_table

        if self.threads is not None:
            torch.set_num_threads(self.threads)
        model = self._model()
        size = self.image_size or self._own_size(model)
        with tempfile.TemporaryDirectory(prefix="swinkit-benchmark-") as folder:
            rows = self._rows(model, Path(folder), size)
        about = machine()
        name = self.weights or self.model
        title = f"{name}, {size} x {size}; {about}; times: as fast as the fastest eager network"
        standard_output().print(to_table(rows, self.batch, title))
        if self.json is not None:
            with atomic_write(self.json) as temporary:
                temporary.write_text(json.dumps(to_json(rows, about, size), indent=2))
        if self.plot is not None:
            from swinkit.benchmarking.table import draw

            draw(rows, self.batch, self.plot)

    def _check(self) -> None:
        if (self.weights is None) == (self.model is None):
            raise ConfigError("give either --weights or --model")
        for name in ("rounds", "threads", "image_size"):
            check_range(name.replace("_", "-"), getattr(self, name), 1)
        if not self.batch or min(self.batch) < 1:
            raise ConfigError("--batch takes numbers from 1")
        for place in (self.json, self.plot):
            check_place(place)

    def _model(self) -> "TaskModel[Any]":
        from swinkit.inference import load_model
        from swinkit.registry import task_of_network

        if self.weights is not None:
            return load_model(self.weights, device="cpu")
        assert self.model is not None
        task = task_of_network(self.model)
        if task is None:
            raise ConfigError(f"no network {self.model!r}; see `swinkit models`")
        import swinkit

        made: TaskModel[Any] = getattr(swinkit, task.creator)(self.model)
        return made.eval()

    @staticmethod
    def _own_size(model: "TaskModel[Any]") -> int:
        size = getattr(model.preprocessing, "size_hw", None)
        return 512 if size is None else int(size[0])

    def _rows(self, model: "TaskModel[Any]", folder: Path, size: int) -> "list[Row]":
        from swinkit.benchmarking.contenders import own_contenders, peer_contenders
        from swinkit.benchmarking.table import measure

        contenders = own_contenders(model, folder, size, self.data, print)
        if self.peers:
            peers = peer_contenders(self.model or "", folder, size)
            if not peers:
                raise ConfigError("--peers needs --model swin_t, swin_s, swin_b or their V2 names")
            contenders += peers
        contenders = [one for one in contenders if self.compiled or one.engine != "compiled"]
        channels = model.preprocessing.channels
        rows = measure(contenders, self.batch, (size, size), channels, self.rounds, print)
        return [
            self._more(row, one, model, folder, size)
            for row, one in zip(rows, contenders, strict=True)
        ]

    def _more(
        self, row: "Row", one: "Contender", model: "TaskModel[Any]", folder: Path, size: int
    ) -> "Row":
        """With what a fresh process needs, and how good the answers are, of our own networks."""
        if row.is_peer or row.note:
            return row
        from swinkit.benchmarking.contenders import quality
        from swinkit.benchmarking.table import cold_start
        from swinkit.checkpoints.save import save

        if self.memory:
            file = one.file or folder / "weights.safetensors"
            if not file.exists():
                save(model, file)
            print(f"cold start of {one.name}")
            shape = (1, model.preprocessing.channels, size, size)
            precision: RunPrecision = "bf16" if one.precision == "bf16" else "fp32"
            seconds, memory = cold_start(one.engine, precision, file, shape)
            row = replace(row, cold_seconds=seconds, memory_mb=memory)
        if self.data is not None:
            print(f"answers of {one.name} on {self.data}")
            same, metrics = quality(model, one.make(1), self.data)
            row = replace(row, same=same, metrics=metrics)
        return row
