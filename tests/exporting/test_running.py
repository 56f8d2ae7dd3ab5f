"""What images go through: every engine gives PyTorch's answers, and `auto` never worse."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import swinkit
from swinkit import SwinBackbone, SwinClassifier, SwinConfig, SwinkitError
from swinkit.engines.base import SLOW_BFLOAT16, multiplies_bfloat16
from swinkit.exporting import kept, running
from swinkit.exporting.kept import MOST_FILES, is_kept, kept_network
from swinkit.exporting.running import Auto, run_through
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.model import ModelInfo

pytest.importorskip("onnxruntime", reason="needs the extra onnx")
pytestmark = pytest.mark.usefixtures("traced_once")
CONFIG = SwinConfig(
    patch_size=2, embed_dim=8, depths=(1, 2), num_heads=(1, 2), window_size=4, norm_stages=(0, 1)
)
IMAGES = [np.random.default_rng(n).integers(0, 256, (30, 50, 3), dtype=np.uint8) for n in range(5)]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SwinClassifier:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.manual_seed(0)
    info = ModelInfo(preprocessing=Preprocessing.for_size((24, 40)))
    model = SwinClassifier(CONFIG, num_classes=3, info=info).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def probabilities(model: SwinClassifier) -> np.ndarray:
    return np.stack([one.probabilities for one in model.predict(IMAGES, batch_size=2)])


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_same_answers(engine: str, model: SwinClassifier) -> None:
    pytest.importorskip(engine, reason=f"needs {engine}")
    expected = probabilities(model)
    run_through(model, engine)  # type: ignore[arg-type]
    assert np.abs(probabilities(model) - expected).max() < 1e-5
    assert is_kept(model)
    run_through(model, "eager")
    assert np.array_equal(probabilities(model), expected)


def test_kept_networks_follow_the_weights_and_are_few(
    model: SwinClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def write(model: object, path: Path, **_: object) -> None:
        made.append(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("network")

    monkeypatch.setattr(kept, "export", write)
    first = kept_network(model)
    assert kept_network(model) == first
    assert len(made) == 1
    for _ in range(MOST_FILES + 3):
        with torch.no_grad():
            model.head.fc.bias += 1
        last = kept_network(model)
    assert len(made) == MOST_FILES + 4
    assert len(list(last.parent.glob("*.onnx"))) == MOST_FILES
    assert last.exists()
    assert not first.exists()


def test_auto_changes_once_it_pays(model: SwinClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(running, "OPENING", -1.0)
    monkeypatch.setattr(running, "EXPORTING", 1e9)
    run_through(model, "auto", said.append)
    expected = probabilities(model)
    assert said == []
    model.runner = None
    monkeypatch.setattr(running, "EXPORTING", 0.0)
    run_through(model, "auto", said.append)
    assert np.abs(probabilities(model) - expected).max() < 1e-5
    assert len(said) == 1
    assert "after" in said[0]


def test_auto_keeps_to_pytorch_where_an_engine_fails(
    model: SwinClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, said = probabilities(model), []

    def refuse(*_: object) -> None:
        raise SwinkitError("no space left")

    monkeypatch.setattr(running, "OPENING", -1.0)
    monkeypatch.setattr(running, "EXPORTING", 0.0)
    monkeypatch.setattr(running, "opened", refuse)
    run_through(model, "auto", said.append)
    assert np.array_equal(probabilities(model), expected)
    assert said == [f"engine: PyTorch, not {model.runner.engine}: no space left"]
    monkeypatch.setattr(running, "opened", lambda *_: lambda images: (images.sum((2, 3)),))
    wrong = Auto(model, "openvino", said.append)
    images = torch.randn(2, 3, 24, 40)
    with torch.no_grad():
        assert torch.equal(wrong(images), wrong(images))
    assert "gives other numbers" in said[-1]


def test_bad_choices_are_one_line(model: SwinClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SwinkitError, match="choose auto, eager"):
        run_through(model, "tensorrt")  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(SwinkitError, match="pip install 'swinkit"):
        swinkit.export(model, "never.xml", to="openvino")


def test_one_graph_holds_the_whole_network() -> None:
    """A compiled model trains, validates, and takes other sizes, without a break in its graph."""
    torch.manual_seed(0)
    model = SwinBackbone(CONFIG)
    compiled = torch.compile(model.train(), backend="eager", fullgraph=True)
    compiled(torch.randn(2, 3, 30, 21))[1].sum().backward()
    model.eval()
    with torch.no_grad():
        for size in ((30, 21), (24, 40)):
            images = torch.randn(2, 3, *size)
            for ours, theirs in zip(compiled(images), model(images), strict=True):
                assert torch.allclose(ours, theirs, atol=1e-5)


def test_gradients_of_each_sample() -> None:
    from torch.func import functional_call, grad, vmap

    model = SwinBackbone(CONFIG).eval()
    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def loss(values: dict[str, torch.Tensor], image: torch.Tensor) -> torch.Tensor:
        return functional_call(model, values, (image[None],))[1].square().sum()

    images = torch.randn(2, 3, 13, 22)
    each = vmap(grad(loss), in_dims=(None, 0))(parameters, images)
    for number, image in enumerate(images):
        alone = grad(loss)(parameters, image)
        name = "stages.0.blocks.0.attention.qkv.weight"
        assert torch.allclose(each[name][number], alone[name], rtol=1e-3, atol=1e-5)


def test_a_processor_without_instructions_for_bfloat16_only_imitates_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("swinkit.engines.base.platform.machine", lambda: "x86_64")
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: True)
    for has in (False, True):
        monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda has=has: has)
        offered = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        assert multiplies_bfloat16("cpu") == (has and offered)


@pytest.mark.parametrize("engine", ["eager", "openvino"])
def test_products_in_bfloat16(engine: str, model: SwinClassifier) -> None:
    if engine != "eager":
        pytest.importorskip(engine, reason=f"needs {engine}")
    expected = probabilities(model)
    said: list[str] = []
    run_through(model, engine, said.append, precision="bf16")  # type: ignore[arg-type]
    assert said == ([] if multiplies_bfloat16("cpu") else [SLOW_BFLOAT16])
    assert np.abs(probabilities(model) - expected).max() < 0.05
    with pytest.raises(SwinkitError, match="take openvino for bf16"):
        run_through(model, "onnxruntime", precision="bf16")


def test_an_exported_file_runs_through_its_own_engine_alone(
    model: SwinClassifier, tmp_path: Path
) -> None:
    expected = probabilities(model)
    file = swinkit.export(model, tmp_path / "model.onnx", verify=False).path
    for engine in ("auto", "onnxruntime"):
        exported = swinkit.load(file)
        run_through(exported, engine)  # type: ignore[arg-type]
        assert np.abs(probabilities(exported) - expected).max() < 1e-5
    for engine, precision in (("eager", "fp32"), ("openvino", "fp32"), ("auto", "bf16")):
        with pytest.raises(SwinkitError, match="runs through onnxruntime in its own"):
            run_through(exported, engine, precision=precision)  # type: ignore[arg-type]
