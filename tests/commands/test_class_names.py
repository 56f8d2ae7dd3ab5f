"""`swinkit evaluate --class-names`: what the weights' classes are called in the data."""

from pathlib import Path

import pytest
import torch

import swinkit
from swinkit.backbones.config import SwinConfig
from swinkit.checkpoints.save import save
from swinkit.classification.model import SwinClassifier
from swinkit.classification.task import IMAGENET
from swinkit.cli import main
from swinkit.errors import ConfigError, DataError
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.class_names import read_names
from swinkit.task.model import ModelInfo

TINY = SwinConfig(embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=2, norm_stages=(1,))


def tiny(classes: int, class_names: tuple[str, ...] | None = None) -> SwinClassifier:
    info = ModelInfo(class_names=class_names, preprocessing=Preprocessing.for_size((16, 16)))
    return SwinClassifier(TINY, num_classes=classes, info=info)


def always(model: SwinClassifier, label: int) -> SwinClassifier:
    """The model with one answer for every image."""
    with torch.no_grad():
        model.head.fc.weight.zero_()
        model.head.fc.bias.zero_()
        model.head.fc.bias[label] = 1
    return model


@pytest.fixture
def numbered(tmp_path: Path, make_images) -> Path:
    for number in range(12):
        make_images(tmp_path / "numbered" / str(number), 1 + (number == 2))
    return tmp_path / "numbered"


def test_folders_with_numbers_are_ordered_as_told(numbered: Path, tmp_path: Path) -> None:
    model = always(tiny(12), 2)
    assert swinkit.evaluate(model, numbered, class_names="numeric").top1 == pytest.approx(2 / 13)
    assert swinkit.evaluate(model, numbered, class_names="sorted").top1 == pytest.approx(1 / 13)
    names = [str(number) for number in (*range(2, 12), 0, 1)]
    assert swinkit.evaluate(model, numbered, class_names=names).top1 == pytest.approx(1 / 13)
    listed = tmp_path / "names.txt"
    listed.write_text("\n".join(sorted(names, key=int)) + "\n")
    assert swinkit.evaluate(model, numbered, class_names=listed).top1 == pytest.approx(2 / 13)
    assert model.info.class_names is None


def test_without_names_it_says_how_to_give_them(numbered: Path) -> None:
    with pytest.raises(DataError, match="--class-names"):
        swinkit.evaluate(tiny(12), numbered)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (["a", "b"], "2 names, but the model has 12"),
        (["a"] * 12, "'a' is there 12 times"),
        ("alphabet", "none of imagenet, sorted, numeric"),
        ("imagenet", "1000 names"),
    ],
)
def test_names_that_do_not_fit(numbered: Path, told: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        swinkit.evaluate(tiny(12), numbered, class_names=told)


def test_wordnet_ids_are_known_to_weights_for_imagenet(tmp_path: Path, make_images) -> None:
    names = read_names(IMAGENET)
    assert names == tuple(sorted(set(names)))
    make_images(tmp_path / "val" / names[7], 1)
    make_images(tmp_path / "val" / names[388], 2)
    for own in (None, ("tench, Tinca tinca", *map(str, range(999)))):
        report = swinkit.evaluate(always(tiny(1000, own), 388), tmp_path / "val")
        assert report.top1 == pytest.approx(2 / 3)
    with pytest.raises(DataError):
        swinkit.evaluate(tiny(1000, tuple(map(str, range(1000)))), tmp_path / "val")


def test_lines_with_ids_and_names(tmp_path: Path) -> None:
    listed = tmp_path / "synsets.txt"
    listed.write_text("n01440764 tench, Tinca tinca\nn01443537 goldfish\n")
    assert read_names(listed) == ("n01440764", "n01443537")


def test_the_cases(cases_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def evaluate(classes: int, label: int, data: str, *flags: str) -> str:
        weights = save(always(tiny(classes), label), tmp_path / "tiny.safetensors")
        words = ["evaluate", "--weights", str(weights), "--data", str(cases_dir / data), *flags]
        assert main(words) == 0
        return capsys.readouterr().out

    # Labels 0 and 1 are the data's own.
    assert "top-1" in evaluate(1000, 1, "32-wnid")
    assert "top-1" in evaluate(1000, 1, "32-wnid", "--class-names", "imagenet")
    assert "top-1" in evaluate(12, 2, "30-numeric-order", "--class-names", "numeric")
