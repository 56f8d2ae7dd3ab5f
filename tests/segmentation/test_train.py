"""What an epoch measures is what an evaluation measures."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from swinkit.data.config import DataConfig
from swinkit.data.loading import build_loader
from swinkit.images.fitting import Fit
from swinkit.segmentation import predict as predicting
from swinkit.segmentation.data.dataset import SegmentationDataset, collate_segmentation
from swinkit.segmentation.data.splits import load_segmentation
from swinkit.segmentation.evaluate.measure import evaluate_segmenter
from swinkit.segmentation.model import create_segmenter
from swinkit.segmentation.train import SegmentationValidation


@pytest.mark.parametrize("fit", [Fit(short_side=24, long_side=None, divisor=16), Fit(divisor=1)])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_validation_is_evaluation(
    fit: Fit, batch_size: int, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predicting, "BLOCK_BYTES", 4 * 3 * 1500)
    splits = load_segmentation(DataConfig(path=scenes))
    samples = splits.test
    assert samples is not None
    torch.manual_seed(0)
    fit = fit.of_size(32) if fit.divisor == 1 else fit
    model = create_segmenter("unet_swin_nano", class_names=splits.class_names, fit=fit).eval()
    loader = build_loader(
        SegmentationDataset(samples, fit),
        batch_size=batch_size,
        shuffle=False,
        collate=collate_segmentation,
    )
    validation = SegmentationValidation(samples, fit, splits.class_names, 255)
    with torch.inference_mode():
        for batch in loader:
            real = batch[2] < 3  # as if a sampler had repeated the last image
            validation.update(model, batch, real)
    found = validation.compute()
    report = evaluate_segmenter(model, samples[:3], boundary_tolerance=None)
    assert (validation.evaluator.compute().confusion == report.scores.confusion).all()
    assert found["val_miou"] == report.scores.miou
    total, pixels = 0.0, 0
    for sample in samples[:3]:
        (answer,) = model.predict(sample.path, keep_probabilities=True)
        truth = torch.from_numpy(sample.labels().astype("int64"))
        logits = torch.from_numpy(answer.probabilities.astype("float32")).log()
        total += float(F.nll_loss(logits[None], truth[None], ignore_index=255, reduction="sum"))
        pixels += int((truth != 255).sum())
    assert found["val_loss"] == pytest.approx(total / pixels, rel=1e-3)
