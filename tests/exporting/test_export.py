"""Exported files against PyTorch, at sizes smaller than a window, odd and long; bad input."""

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import swinkit
from swinkit import SwinBackbone, SwinClassifier, SwinConfig, SwinkitError
from swinkit.checkpoints.artifact import open_engine
from swinkit.cli import main
from swinkit.exporting.formats import to_openvino, write_openvino
from swinkit.exporting.quantize import PRODUCTS
from swinkit.exporting.running import run_through
from swinkit.exporting.verify import Comparison, Verification, compare_at
from swinkit.images.preprocessing import Preprocessing
from swinkit.segmentation.config import SegmenterConfig
from swinkit.segmentation.model import SwinSegmenter
from swinkit.task.model import ModelInfo

pytestmark = pytest.mark.usefixtures("traced_once")
SIZES = ((1, 3), (9, 70), (32, 32), (37, 53), (97, 130))
onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")


def small(version: int, depths: tuple[int, ...] = (1, 2)) -> SwinConfig:
    return SwinConfig(
        version=version, patch_size=2, embed_dim=8, depths=depths, num_heads=(1, 2),
        window_size=4, norm_stages=(0, 1),
    )  # fmt: skip


def strong(model: nn.Module) -> nn.Module:
    """Weights that leave no part of the network idle."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model.eval()


@lru_cache
def classifier(version: int = 1) -> SwinClassifier:
    info = ModelInfo(
        class_names=("cat", "dog", "hen"), preprocessing=Preprocessing.for_size((24, 40))
    )
    return strong(SwinClassifier(small(version), num_classes=3, info=info))


@lru_cache
def segmenter(decoder: str) -> SwinSegmenter:
    # UPerNet's graph has shifted windows, that of U-Net need not.
    backbone = small(1, depths=(1, 2) if decoder == "upernet" else (1, 1))
    config = SegmenterConfig(
        backbone=backbone, num_classes=3, decoder=decoder, channels=16, auxiliary_stage=None
    )
    return strong(SwinSegmenter(config))


MODELS = {
    "classifier V1": classifier,
    "classifier V2": lambda: classifier(2),
    "backbone": lru_cache(lambda: strong(SwinBackbone(small(1, depths=(1, 1))))),
    "UPerNet": lambda: segmenter("upernet"),
    "U-Net": lambda: segmenter("unet"),
}


# A graph for any size takes seconds to trace: V1 as UPerNet, V2 as the classifier.
FREE = ("classifier V2", "backbone", "UPerNet", "U-Net")


@pytest.fixture(scope="module")
def dynamic(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Files for any size, each made once."""
    folder = tmp_path_factory.mktemp("dynamic")

    @lru_cache
    def make(name: str) -> Path:
        path = folder / f"{name}.onnx"
        return swinkit.export(MODELS[name](), path, dynamic=True, verify=False).path

    return make


@pytest.mark.parametrize("name", FREE)
def test_one_file_for_any_size(name: str, dynamic: Callable[[str], Path]) -> None:
    model, path = MODELS[name](), dynamic(name)
    sizes = SIZES if name != "U-Net" else SIZES[1:]
    assert compare_at(model, open_engine(str(path)), sizes).difference <= 1e-4


@pytest.mark.parametrize("name", FREE)
def test_openvino_takes_any_size(name: str, dynamic: Callable[[str], Path], tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    model, sizes = MODELS[name](), SIZES if name != "U-Net" else SIZES[1:]
    network = to_openvino(onnx.load(dynamic(name)))
    write_openvino(network, {}, tmp_path / "m.xml", fp16=False)
    assert compare_at(model, open_engine(str(tmp_path / "m.xml")), sizes).difference <= 1e-4


def test_openvino_is_loaded_like_weights(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    done = swinkit.export(classifier(), tmp_path / "m.xml", to="openvino")
    assert done.verification.difference <= 1e-4
    assert swinkit.load(done.path).class_names == ("cat", "dog", "hen")


def test_torch_export_takes_any_size(tmp_path: Path) -> None:
    model = classifier(2)
    done = swinkit.export(model, tmp_path / "m.pt2", to="torch-export", dynamic=True, verify=False)
    program = torch.export.load(done.path).module()
    for height, width in SIZES:
        for batch in (1, 2, 5):
            images = torch.randn(batch, 3, height, width)
            with torch.no_grad():
                assert torch.allclose(program(images), model(images), atol=1e-5)


def test_a_fixed_size_has_no_index_arithmetic(tmp_path: Path) -> None:
    path = swinkit.export(classifier(), tmp_path / "m.onnx").path
    graph = onnx.load(path).graph
    kinds = {node.op_type for node in graph.node}
    arithmetic = {"Range", "Div", "Mod", "ScatterElements", "Loop", "If", "NonZero"}
    assert not kinds & arithmetic
    # What TensorRT has, and nothing of rank above five.
    assert kinds <= {
        "Add", "Cast", "Concat", "Conv", "Div", "Expand", "Gather", "GatherND", "Gelu", "Gemm",
        "LayerNormalization", "MatMul", "Mul", "Pad", "ReduceMean", "Reshape", "Shape", "Slice",
        "Softmax", "Split", "Squeeze", "Transpose", "Unsqueeze", "Where",
    }  # fmt: skip
    ranks = [len(value.type.tensor_type.shape.dim) for value in graph.value_info]
    assert max(ranks) <= 5


def test_the_file_runs_without_swinkit(tmp_path: Path) -> None:
    import onnxruntime

    model = classifier()
    path = swinkit.export(model, tmp_path / "m.onnx").path
    session = onnxruntime.InferenceSession(str(path))
    facts = {
        key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()
    }
    image = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    prepare = facts["preprocessing"]
    values = (image / 255 - np.array(prepare["mean"])) / np.array(prepare["std"])
    (logits,) = session.run(None, {"images": values.transpose(2, 0, 1)[None].astype(np.float32)})
    expected = model.predict(image)[0]
    assert facts["class_names"][logits[0].argmax()] == expected.label
    assert facts["image_size"] == [24, 40]


@pytest.mark.parametrize("name", ["classifier V2", "UPerNet"])
def test_loaded_like_weights(name: str, dynamic: Callable[[str], Path], tmp_path: Path) -> None:
    model, path = MODELS[name](), dynamic(name)
    loaded = swinkit.load(path)
    image = np.random.default_rng(1).integers(0, 256, (50, 61, 3), dtype=np.uint8)
    ours, theirs = loaded.predict(image)[0], model.predict(image)[0]
    if name == "UPerNet":
        assert (ours.labels == theirs.labels).mean() > 0.999
    else:
        assert np.allclose(ours.probabilities, theirs.probabilities, atol=1e-5)
        assert ours.class_names == theirs.class_names
    beyond: dict[str, Callable[[], object]] = {
        "weights": lambda: swinkit.save(loaded, tmp_path / "again.safetensors"),
        "features": lambda: loaded.features(torch.rand(1, 3, 24, 40)),
        "another file": lambda: swinkit.export(loaded, tmp_path / "again.onnx"),
        "PyTorch": lambda: run_through(loaded, "compiled"),
    }
    for what in beyond.values():
        with pytest.raises(SwinkitError, match="name the weights that it was made from"):
            what()
    with pytest.raises(SwinkitError, match="finished network"):
        swinkit.load(path, num_classes=4)


def test_a_file_of_another_size_says_how_to_prepare_images_for_it(tmp_path: Path) -> None:
    model = classifier()
    path = swinkit.export(model, tmp_path / "m.onnx", image_size=32, verify=False).path
    assert swinkit.load(path).preprocessing.size_hw == (32, 32)
    image = np.random.default_rng(1).integers(0, 256, (50, 61, 3), dtype=np.uint8)
    found, expected = swinkit.predict(image, path), swinkit.predict(image, model, image_size=32)
    assert np.allclose(found[0].probabilities, expected[0].probabilities, atol=1e-5)


def test_a_square_file_of_a_segmenter_takes_pictures_of_any_aspect(tmp_path: Path) -> None:
    model = segmenter("upernet")
    path = swinkit.export(model, tmp_path / "m.onnx", image_size=64, verify=False).path
    loaded = swinkit.load(path)
    for height, width in ((48, 64), (100, 40), (64, 64)):
        image = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
        assert loaded.predict(image)[0].labels.shape == (height, width)
    wide = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    expected = swinkit.predict(wide, model, image_size=64)[0].labels
    assert (loaded.predict(wide)[0].labels == expected).mean() > 0.999


def test_half_precision_and_the_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    weights = swinkit.save(classifier(), tmp_path / "w.safetensors")
    out = tmp_path / "half.onnx"
    words = ["export", "--weights", str(weights), "--to", "onnx", "--out", str(out)]
    assert main([*words, "--precision", "fp16"]) == 0
    printed = capsys.readouterr().out
    assert "24 x 40" in printed
    assert "wrote" in printed
    image = np.zeros((24, 40, 3), np.uint8)
    found = swinkit.load(out).predict(image)[0]
    assert np.allclose(found.probabilities, classifier().predict(image)[0].probabilities, atol=0.02)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of noise."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(12):
        values = np.random.default_rng(number).integers(0, 256, (24, 40, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"{number}.png")
    return folder


def test_int8_is_compared_both_ways_and_leaves_the_ends_in_float32(
    tmp_path: Path, pictures: Path
) -> None:
    pytest.importorskip("nncf", reason="needs the extra openvino")
    done = swinkit.export(classifier(), tmp_path / "m.onnx", int8=pictures)
    assert {one.smooth for one in done.quantized} == {True, False}
    assert done.quantized[0].decisions >= done.quantized[1].decisions
    assert swinkit.load(done.path).class_names == ("cat", "dog", "hen")
    graph = onnx.load(done.path).graph
    makers = {output: node.op_type for node in graph.node for output in node.output}
    products = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    whole = [
        node.name
        for node in products
        if "DequantizeLinear" not in {makers.get(name) for name in node.input}
    ]
    assert {products[0].name, products[-1].name} <= set(whole)
    assert len(whole) < len(products) / 2


def test_int8_of_openvino_leaves_the_ends_in_float32(tmp_path: Path, pictures: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="needs the extra openvino")
    done = swinkit.export(classifier(), tmp_path / "m.xml", to="openvino", int8=pictures)
    read = openvino.Core().read_model(str(done.path))
    products = [op for op in read.get_ordered_ops() if op.get_type_name() in PRODUCTS]
    quantized = [_is_quantized(op) for op in products]
    assert not quantized[0]
    assert not quantized[-1]
    assert sum(quantized) > len(products) / 2


def _is_quantized(product: Any) -> bool:
    made_by = {value.get_source_output().get_node().get_type_name() for value in product.inputs()}
    return "FakeQuantize" in made_by


def test_a_file_that_differs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from swinkit.exporting import export as module

    off = Comparison(size_hw=(24, 40), batch=1, difference=0.5, decisions=1.0)
    monkeypatch.setattr(module, "compare_at", lambda *_: Verification((off,)))
    with pytest.raises(SwinkitError, match="differs from the model"):
        swinkit.export(classifier(), tmp_path / "bad.onnx")
    assert not (tmp_path / "bad.onnx").exists()


BAD = {
    "another suffix": ({"path": "m.pt"}, "end in .onnx"),
    "INT8 of half": ({"path": "m.onnx", "int8": ".", "precision": "fp16"}, "INT8 is for"),
    "no target": ({"path": "m.onnx", "to": "coreml"}, "choose one of"),
    "no size": ({"path": "m.onnx", "image_size": 0}, "at least 1 pixel"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_settings_are_one_line(name: str, tmp_path: Path) -> None:
    settings, said = BAD[name]
    path = tmp_path / settings.pop("path") if "path" in settings else tmp_path / "m.onnx"
    with pytest.raises(SwinkitError, match=said) as caught:
        swinkit.export(classifier(), path, **settings)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_bad_files_are_one_line(tmp_path: Path) -> None:
    good = swinkit.export(classifier(), tmp_path / "m.onnx", verify=False).path
    whole = good.read_bytes()
    (tmp_path / "torn.onnx").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.onnx").write_text("hello")
    proto = onnx.load(good)
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "foreign.onnx")
    (tmp_path / "p.pt2").write_bytes(b"PK")
    said = {
        "torn.onnx": "cannot open it",
        "text.onnx": "cannot open it",
        "foreign.onnx": "no export of swinkit",
        "p.pt2": "unpickles",
        "nowhere.onnx": "no such file",
    }
    for name, words in said.items():
        with pytest.raises(SwinkitError, match=words) as caught:
            swinkit.load(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(SwinkitError, match="24 x 40"):
        open_engine(str(good))(torch.zeros(1, 3, 30, 40))
    with pytest.raises(SwinkitError, match="onnxruntime fails on"):
        open_engine(str(good))(torch.zeros(1, 4, 24, 40))


def test_a_file_without_inputs_is_one_line(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor("one", onnx.TensorProto.FLOAT, [1], [1.0])
    node = onnx.helper.make_node("Constant", [], ["y"], value=value)
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([node], "constant", [], [output])
    opset = onnx.helper.make_opsetid("", 20)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9)
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(SwinkitError, match="does not take one batch of images"):
        swinkit.load(tmp_path / "m.onnx")


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SwinkitError, match=r"cannot write a draft .* set TMPDIR"):
        swinkit.export(classifier(), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_models_that_run_elsewhere_are_exported_and_copied() -> None:
    import copy

    model = classifier()
    run_through(model, "onnxruntime")
    assert copy.deepcopy(model).runner is None
    assert model.runner is not None
