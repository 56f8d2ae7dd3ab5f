"""Graphs as files of torch.export (.pt2)."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from swinkit.engines.base import Engine
from swinkit.exporting.graph import Graph


def write_program(graph: Graph, metadata: Mapping[str, str], path: Path) -> None:
    """One file, with the metadata as extra files in it. Raises OSError, RuntimeError."""
    torch.export.save(graph.program, path, extra_files=dict(metadata))


class Program(Engine):
    """A graph run by PyTorch. Reading a file unpickles it: for files just written alone."""

    name = "torch-export"

    def __init__(self, path: Path) -> None:
        self.origin = str(path)
        self.input_hw = (None, None)
        self.metadata = {}
        self._network = torch.export.load(path).module()

    def run(self, images: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            found = self._network(images, *more)
        return found if isinstance(found, tuple) else (found,)
