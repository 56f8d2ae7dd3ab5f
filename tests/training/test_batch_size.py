import pytest
import torch

from swinkit.classification.model import create_model
from swinkit.errors import TrainingError
from swinkit.training.batch_size import available_memory, find_batch_size


@pytest.fixture(scope="module")
def model():
    return create_model("swin_nano", num_classes=3)


def size(model, memory, images=10_000, processes=1):
    return find_batch_size(
        model,
        (3, 64, 64),
        device=torch.device("cpu"),
        bf16=False,
        images=images,
        loss=lambda network, images: network(images).square().mean(),
        processes=processes,
        memory_bytes=memory,
    )


def test_grows_with_memory_up_to_its_bounds(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    sizes = [size(model, memory * 2**20) for memory in (300, 800, 4000, 10**6)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]
    assert sizes[-1] == 64
    assert all(number & (number - 1) == 0 for number in sizes)
    assert size(model, 10**12, images=80) == 8
    assert size(model, 800 * 2**20, processes=2) < sizes[1]
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_too_little_memory_is_one_line(model):
    with pytest.raises(TrainingError, match="not even one image of 64x64"):
        size(model, 2**20)


def test_machine_has_memory():
    assert available_memory() > 2**20
