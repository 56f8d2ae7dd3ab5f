"""Images as vectors: written, read back, and searched."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import swinkit
from swinkit import retrieval
from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.save import save
from swinkit.classification.model import SwinClassifier
from swinkit.cli import main
from swinkit.errors import ConfigError, DataError
from swinkit.images.preprocessing import Preprocessing
from swinkit.retrieval import Embeddings
from swinkit.task.model import ModelInfo


def build(seed: int = 0) -> SwinClassifier:
    torch.manual_seed(seed)
    config = SwinConfig(
        embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=2, norm_stages=(1,)
    )
    info = ModelInfo(preprocessing=Preprocessing.for_size((16, 16)))
    return SwinClassifier(config, num_classes=3, info=info)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save(build(), tmp_path / "tiny.safetensors")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(6):
        pixels = random.integers(0, 255, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_vectors_are_the_features_of_the_prepared_images(photos: Path) -> None:
    model = build().eval()
    found = swinkit.embed(photos, model, batch_size=4)
    assert [Path(name).name for name in found.names] == [f"{n}.png" for n in range(6)]
    pixels = np.asarray(Image.open(photos / "3.png"))
    with torch.inference_mode():
        expected = model.features(torch.from_numpy(model.preprocessing(pixels))[None])
    assert found.vectors[3] == pytest.approx(expected[0].numpy(), abs=1e-6)
    assert found.vectors.shape == (6, 16)


@pytest.mark.parametrize("create", [swinkit.create_segmenter, swinkit.create_detector])
def test_models_of_any_task_make_vectors_of_images_of_any_size(create) -> None:
    name = "unet_swin_nano" if create is swinkit.create_segmenter else "mask_rcnn_swin_nano"
    pixels = [np.zeros((40, 64, 3), np.uint8), np.zeros((64, 40, 3), np.uint8)]
    model = create(name, num_classes=2)
    found = swinkit.embed(pixels, model, image_size=64)
    assert found.names == ("0", "1")
    assert found.vectors.shape == (2, model.backbone.config.channels[-1])
    assert np.isfinite(found.vectors).all()


def test_label_masks_of_a_data_set_are_no_pictures(photos: Path, tmp_path: Path) -> None:
    data = tmp_path / "scenes"
    for split, numbers in (("train", range(4)), ("val", range(4, 6))):
        for name in ("images", "masks"):
            (data / split / name).mkdir(parents=True)
        for number in numbers:
            (photos / f"{number}.png").rename(data / split / "images" / f"{number}.png")
            mask = (np.arange(20) > 9)[:, None].repeat(24, 1).astype(np.uint8)
            Image.fromarray(mask).save(data / split / "masks" / f"{number}.png")
    found = swinkit.embed(data, build())
    assert len(found.names) == 6
    assert not [name for name in found.names if "/masks/" in name]


def test_similar_finds_the_image_itself_first_and_orders_by_cosine(weights, photos) -> None:
    index = swinkit.embed(photos, weights)
    (found,) = swinkit.similar(photos / "2.png", index, top_k=6)
    assert found[0][0].endswith("2.png")
    assert found[0][1] == pytest.approx(1.0, abs=1e-5)
    cosines = [cosine for _, cosine in found]
    assert cosines == sorted(cosines, reverse=True)
    a, b = index.vectors[2], index.vectors[index.names.index(found[1][0])]
    assert found[1][1] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-5)


def test_the_commands(weights, photos, tmp_path, capsys) -> None:
    out = tmp_path / "features.npz"
    assert main(["embed", str(photos), "--weights", str(weights), "--out", str(out)]) == 0
    assert "6 vectors of 16 numbers in " in capsys.readouterr().out
    image = str(photos / "4.png")
    assert main(["similar", image, "--index", str(out), "--top-k", "2", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert entries[0]["similar"] == image
    assert len(entries) == 2
    assert main(["similar", image, "--index", str(out)]) == 0
    assert "cosine" in capsys.readouterr().out


def test_other_weights_under_the_same_name_are_refused(weights, photos) -> None:
    index = swinkit.embed(photos, weights)
    save(build(seed=1), weights)
    with pytest.raises(ConfigError, match="is another file than the one that made the index"):
        swinkit.similar(photos, index)
    named = swinkit.embed(photos, build())
    with pytest.raises(ConfigError, match="does not say which weights"):
        swinkit.similar(photos, named)


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_files_give_back_what_was_written(suffix, tmp_path) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    vectors = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    written = Embeddings(names=("a", "ü", "c d"), vectors=vectors, origin={"weights": "w"})
    path = tmp_path / f"features{suffix}"
    written.save(path)
    read = Embeddings.read(path)
    assert (read.names, read.origin) == (written.names, written.origin)
    assert np.array_equal(read.vectors, vectors)


def npz(tmp_path: Path, compress: bool = False, **arrays: np.ndarray) -> Path:
    path = tmp_path / "bad.npz"
    (np.savez_compressed if compress else np.savez)(path, **arrays)
    return path


GOOD = {
    "names": np.array(["a", "b"]),
    "vectors": np.ones((2, 3), np.float32),
    "origin": np.array("null"),
}


@pytest.mark.parametrize(
    "change",
    [
        {"names": np.array([object(), None])},
        {"vectors": np.ones((3, 3), np.float32)},
        {"vectors": np.ones((2, 3))},
        {"vectors": np.ones(6, np.float32)},
        {"origin": np.array("{")},
        {"compress": True},
    ],
)
def test_damaged_files_are_one_line(change, tmp_path) -> None:
    with pytest.raises((DataError, ConfigError)) as caught:
        Embeddings.read(npz(tmp_path, **{**GOOD, **change}))
    assert len(str(caught.value).splitlines()) == 1


def test_a_header_that_promises_more_than_there_is_is_not_believed(tmp_path) -> None:
    path = tmp_path / "huge.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for member, array in GOOD.items():
            file = io.BytesIO()
            np.lib.format.write_array(file, array, allow_pickle=False)
            content = file.getvalue()
            if member == "vectors":
                content = content.replace(b"(2, 3)", b"(99999999, 99999)")[: len(content)]
            archive.writestr(f"{member}.npy", content)
    with pytest.raises(DataError, match="holds no vectors of images"):
        Embeddings.read(path)
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="holds no vectors of images"):
        Embeddings.read(path)
    with pytest.raises(DataError, match="holds no vectors of images"):
        Embeddings.read(tmp_path / "missing.npz")


def test_where_vectors_can_be_kept(tmp_path, monkeypatch) -> None:
    found = Embeddings(names=("a",), vectors=np.ones((1, 2), np.float32))
    with pytest.raises(ConfigError, match=r"kept as \.npz or \.parquet"):
        found.save(tmp_path / "features.csv")
    monkeypatch.setattr(retrieval, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'swinkit\[parquet\]'"):
        found.save(tmp_path / "features.parquet")
    with pytest.raises(ConfigError, match="expected a vector of 2 numbers"):
        found.similar(np.ones(3))
