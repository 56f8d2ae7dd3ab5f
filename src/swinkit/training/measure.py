"""The end of a run: its best weights on every held-out split."""

import logging
from pathlib import Path

from swinkit.checkpoints.load import load
from swinkit.console import ImagesBar
from swinkit.inference import evaluate
from swinkit.task.model import TaskModel
from swinkit.training.fit import Run
from swinkit.training.recorder import Recorder
from swinkit.training.trackers import close_trackers, log_numbers, log_pictures

logger = logging.getLogger(__name__)


def measure(run: Run, recorder: Recorder) -> dict[str, float]:
    """Measure the best weights on every held-out split; write reports and pictures."""
    run.folder.check_there()
    recorder.draw_curves()
    model = load(run.folder.best, report=None)
    assert isinstance(model, TaskModel), "a run trains no bare backbone"
    held_out = {name: len(part) for name, part in run.task.splits.by_name().items()}
    counts = [f"{held_out[name]} {name}" for name in ("val", "test") if name in held_out]
    logger.info("measuring the best weights on %s images", " and ".join(counts))
    numbers: dict[str, dict[str, float]] = {}
    for split in ("val", "test"):
        samples = run.task.splits.by_name().get(split)
        if samples is None:
            continue
        with ImagesBar(run.screen, f"measuring {split}:") as bar:
            report = evaluate(
                model,
                samples,
                options=run.task.evaluate_options(),
                batch_size=run.batch_size,
                device=run.device,
                out=run.folder.path / split if run.config.runtime.preview else None,
                on_bad_image=run.config.data.on_bad_image,
                progress=bar.images,
            )
        numbers[split] = report.numbers()
    metrics = {f"{split}_{name}": n for split in numbers for name, n in numbers[split].items()}
    summary = {"epochs": len(recorder.rows), "best_epoch": recorder.best_epoch, **metrics}
    run.folder.write_json(run.folder.summary, summary)
    _log_to_trackers(run, recorder, metrics)
    logger.info(
        "best epoch %d of %d; weights in %s",
        recorder.best_epoch,
        len(recorder.rows),
        run.folder.best,
    )
    for split, found in numbers.items():
        parts = [f"{name} {value:.2%}" for name, value in found.items() if "loss" not in name]
        if parts:
            logger.info("%s: %s", split, ", ".join(parts))
    return metrics


def _log_to_trackers(run: Run, recorder: Recorder, metrics: dict[str, float]) -> None:
    """The numbers of the best weights and the pictures that the reports have drawn."""
    step = recorder.steps or run.steps_done
    log_numbers(run.trackers, {f"best/{name}": value for name, value in metrics.items()}, step)
    pictures: dict[str, Path] = {"curves": run.folder.curves}
    for split in ("val", "test"):
        for picture in sorted((run.folder.path / split).glob("*.png")):
            pictures[f"{split}/{picture.stem}"] = picture
    log_pictures(run.trackers, pictures, step)
    close_trackers(run.trackers, "success")
