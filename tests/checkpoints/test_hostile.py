"""Files that state what they do not hold: refused in one line before anything is allocated."""

import json
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.load import load
from swinkit.checkpoints.save import header_of
from swinkit.classification.model import SwinClassifier
from swinkit.errors import CheckpointError

HOSTILE = (
    ("st_classes.safetensors", "contradicts itself"),
    ("st_depth.safetensors", "more layers"),
    ("st_size.safetensors", "30000x30000"),
    ("st_version_inf.safetensors", "format_version"),
    ("st_deep.safetensors", "nested too deep"),
    ("hf_mean", "image_mean is 3"),
    ("hf_deep", "nested too deep"),
    ("pth_bomb.pth", "unpack"),
    ("pth_sparse.pth", "sparse"),
)


def message(source: Any) -> str:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError) as caught:
        load(source, report=None)
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10
    return str(caught.value)


@pytest.mark.parametrize(("name", "words"), HOSTILE)
def test_cases(cases_dir: Path, name: str, words: str) -> None:
    path = cases_dir / "hostile" / name
    text = message(path)
    assert words in text
    assert name in text


@pytest.fixture(scope="module")
def model() -> SwinClassifier:
    config = SwinConfig(
        version=2, embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=4, norm_stages=(1,)
    )
    return SwinClassifier(config, num_classes=3)


@pytest.fixture
def write(model: SwinClassifier, tmp_path: Path) -> Callable[..., Path]:
    """Writes the model under a header with some of its values changed, by dotted names."""

    def written(changes: dict[str, Any]) -> Path:
        header = json.loads(header_of(model)["swinkit"])
        for name, value in changes.items():
            *parents, leaf = name.split(".")
            inside = header
            for parent in parents:
                inside = inside[parent]
            inside[leaf] = value
        path = tmp_path / "model.safetensors"
        tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
        save_file(tensors, path, metadata={"swinkit": json.dumps(header)})
        return path

    return written


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_classes", 10**9),
        ("num_classes", -1),
        ("num_classes", "many"),
        ("config.depths", [100_000, 1]),
        ("config.depths", ["a", 1]),
        ("config.depths", 2),
        ("config.embed_dim", 1 << 40),
        ("config.embed_dim", float("nan")),
        ("config.in_channels", 10**9),
        ("config.patch_size", 10**6),
        ("config.window_size", [[30_000, 30_000], [30_000, 30_000]]),
        ("config.window_size", {}),
        ("config.mlp_ratio", 1e300),
        ("config.mlp_ratio", float("inf")),
        ("config.mlp_ratio", float("nan")),
        ("config.absolute_position_hw", [100_000, 100_000]),
        ("config.num_heads", [1]),
        ("config.norm_stages", ["x"]),
        ("config", []),
        ("task", ["classification"]),
        ("task", "cooking"),
        ("format_version", "one"),
        ("format_version", float("nan")),
        ("format_version", 10**400),
        ("info", [1]),
        ("info.class_names", [1, 2, 3]),
        ("info.preprocessing", {"size_hw": [1 << 20, 1 << 20]}),
        ("info.preprocessing", {"mean": 3}),
        ("info.preprocessing", 7),
    ],
)
def test_a_header_that_says_what_the_tensors_do_not(
    write: Callable[..., Path], name: str, value: Any
) -> None:
    assert "model.safetensors" in message(write({name: value}))


@pytest.mark.parametrize("name", ["metrics", "provenance"])
def test_remarks_that_are_no_mapping_are_one_line(write: Callable[..., Path], name: str) -> None:
    assert f"{name} is 3" in message(write({f"info.{name}": 3}))


@pytest.mark.parametrize("name", ["metrics", "provenance"])
@pytest.mark.parametrize("value", [{"a": [[]], "b": None}, {"a": float("inf")}])
def test_remarks_of_other_kinds_are_passed_over(
    write: Callable[..., Path], name: str, value: Any
) -> None:
    info = load(write({f"info.{name}": value}), report=None).info  # type: ignore[union-attr]
    assert "a" not in getattr(info, name)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda value: value.to_sparse(), "sparse"),
        (lambda value: torch.zeros(1).expand(1 << 40), "larger than its memory"),
        (lambda value: value.to(torch.complex64), "complex"),
        (lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8), "quantized"),
        (lambda value: value.to("meta"), "without values"),
        (lambda value: value * torch.nan, "NaN"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_tensors_of_other_kinds(
    model: SwinClassifier, make: Callable[[Tensor], Tensor], words: str
) -> None:
    name = "backbone.stages.0.blocks.0.mlp.fc1.weight"
    text = message({**model.state_dict(), name: make(model.state_dict()[name])})
    assert words in text
    assert name in text


def test_every_tensor_may_have_any_shape(model: SwinClassifier) -> None:
    state = model.state_dict()
    for name in state:
        for shape in ((), (0,), (1,), (3, 0), (2, 2, 2), (1, 1, 1, 1, 1)):
            changed = {**state, name: torch.zeros(shape)}
            if changed[name].shape != state[name].shape:
                assert message(changed)


def test_a_kind_of_one_byte_is_read(model: SwinClassifier) -> None:
    state = {name: value.to(torch.float8_e4m3fn) for name, value in model.state_dict().items()}
    assert load(state, report=None) is not None


def test_an_archive_that_would_unpack_to_many_times_its_size(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(64 << 20))
    assert "unpack to 64" in message(path)


@pytest.mark.parametrize(
    "text", ["[1]", "{", '{"a": ' * 10_000, "NaN", '"text"', "1" * 5000, "\udcff"]
)
def test_settings_beside_the_weights(model: SwinClassifier, tmp_path: Path, text: str) -> None:
    save_file(dict(model.state_dict()), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert "config.json" in message(tmp_path)


@pytest.mark.parametrize("fault", [KeyError("x"), TypeError("x"), RuntimeError("x")])
def test_a_fault_of_the_code_is_not_taken_for_one_of_the_file(
    model: SwinClassifier, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def faulty(*_: Any, **__: Any) -> None:
        raise fault

    monkeypatch.setattr("swinkit.checkpoints.load.model_info", faulty)
    with pytest.raises(type(fault)):
        load(model.state_dict(), report=None)


@pytest.mark.parametrize("shape", [(), (5,), (1, 24, 8), (23, 8)])
def test_a_tensor_of_another_shape(model: SwinClassifier, shape: tuple[int, ...]) -> None:
    name = "backbone.stages.0.blocks.0.attention.qkv.weight"
    assert "24, 8" in message(model.state_dict() | {name: torch.zeros(shape)})


def test_a_tensor_that_cannot_be_recomputed(model: SwinClassifier, tmp_path: Path) -> None:
    from swinkit.checkpoints.convert import convert
    from swinkit.checkpoints.save import save

    convert(save(model, tmp_path / "own.safetensors"), tmp_path / "tv.pth", to="torchvision")
    tensors = torch.load(tmp_path / "tv.pth", weights_only=True)
    name = "features.1.0.attn.qkv.bias"
    text = message(tensors | {name: torch.zeros(())})
    assert f"{name} ()" in text
