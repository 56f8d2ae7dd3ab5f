"""Fixtures that every test may use; reference material beside the project is optional."""

import copy
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")

MakeImages = Callable[..., list[Path]]

SHARED = Path(__file__).resolve().parents[2] / "shared"


TESTS = Path(__file__).parent
# Files that take longest, in their order: two workers that begin with them end together.
LONGEST = (
    "exporting/test_export.py",
    "training/test_resume.py",
    "docs/test_snippets.py",
    "training/test_detection.py",
    "exporting/test_detectors.py",
    "commands/test_benchmark.py",
    "training/test_torchrun.py",
    "training/test_train.py",
    "exporting/test_running.py",
    "training/test_kills.py",
    "pretraining/test_pretraining.py",
    "training/test_bands.py",
    "commands/test_printing.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {TESTS / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session", autouse=True)
def _deterministic_threads() -> None:
    torch.set_num_threads(1)
    # Processes that tests start share the cores with the other worker's.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Folder of reference tensors; the test is skipped where it is absent."""
    folder = SHARED / "golden"
    if not folder.is_dir():
        pytest.skip("reference tensors (../shared/golden) are not on this machine")
    return folder


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real data sets; the test is skipped where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("real data sets (../shared/data) are not on this machine")
    return folder


@pytest.fixture(scope="session")
def cases_dir() -> Path:
    """Folder of small inputs that once went wrong; the test is skipped where it is absent."""
    folder = SHARED / "cases"
    if not folder.is_dir():
        pytest.skip("the cases (../shared/cases) are not on this machine")
    return folder


@pytest.fixture
def make_images() -> MakeImages:
    """Writes `count` different images into a folder and returns their paths."""

    def make(folder: Path, count: int, size: tuple[int, int] = (20, 16)) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"image {i}.png" for i in range(count)]
        generator = np.random.default_rng(zlib.crc32(folder.name.encode()))
        for path in paths:
            pixels = generator.integers(0, 256, (size[1], size[0], 3), np.uint8)
            Image.fromarray(pixels).save(path)
        return paths

    return make


@pytest.fixture
def flat_folder(tmp_path: Path, make_images: MakeImages) -> Path:
    """Two classes, 10 and 4 images, no splits; spaces and other scripts in the names."""
    root = tmp_path / "mes données"
    make_images(root / "chat noir", 10)
    make_images(root / "犬", 4)
    return root


@pytest.fixture(scope="module")
def traced_once() -> Iterator[None]:
    """Exports of a module trace each model once: that takes seconds, and few tests are about it."""
    from swinkit.exporting import export

    graphs: dict[object, Any] = {}
    networks: dict[int, Any] = {}
    trace, to_onnx = export.trace, export.to_onnx

    def remembered_graph(model: Any, *size: Any, **settings: Any) -> Any:
        values = model.state_dict().values()
        if any(value.is_meta for value in values):  # of an exported file: refused
            return trace(model, *size, **settings)
        weights = zlib.crc32(b"".join(value.numpy().tobytes() for value in values))
        key = (repr(model.config), weights, *size, *settings.items())
        if key not in graphs:
            graphs[key] = trace(model, *size, **settings)
        return graphs[key]

    def remembered_network(graph: Any) -> Any:
        if id(graph) not in networks:
            networks[id(graph)] = to_onnx(graph), graph
        return copy.deepcopy(networks[id(graph)][0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "trace", remembered_graph)
        patch.setattr(export, "to_onnx", remembered_network)
        yield
