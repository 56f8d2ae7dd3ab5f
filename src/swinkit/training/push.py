"""`swinkit.push`: a trained model to the Hugging Face hub, with its card."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError

from swinkit.checkpoints.load import load
from swinkit.checkpoints.save import save
from swinkit.errors import SwinkitError, TrainingError
from swinkit.parsing import reason_of
from swinkit.task.model import TaskModel
from swinkit.task.train_config import TrainConfig
from swinkit.training.model_card import RunFacts, model_card, read_summary
from swinkit.training.recipes import recorded_config
from swinkit.training.resume import Resumed
from swinkit.training.run_folder import RunFolder

WEIGHTS = "model.safetensors"  # where `swinkit.load("owner/name")` looks


def push(
    run: str | Path,
    repository: str,
    *,
    public: bool = False,
    license: str | None = None,
    pictures: bool = True,
    endpoint: str | None = None,
) -> str:
    """Put the best weights of a run on the Hugging Face hub, with a card made from the run.

    Places on this machine's disks are left out of what is published. The access token is that of
    `hf auth login`, or HF_TOKEN.

    Args:
        run: folder of the run.
        repository: owner/name; made if it is not there.
        public: whether everybody may read a new repository; one that is there stays as it is.
        license: of the weights, as the hub names it, such as "apache-2.0".
        pictures: publish the curves and the pictures of the reports, which show images of the
            data.
        endpoint: base address of another hub; None takes HF_ENDPOINT.

    Returns:
        The address of the repository.

    Raises:
        TrainingError: no run there, or one without weights.
        SwinkitError: the hub refuses, or cannot be reached.

    >>> swinkit.push("nowhere", "owner/name")
    Traceback (most recent call last):
        ...
    swinkit.errors.TrainingError: nowhere: no config.yaml, so this is no run; name its folder
    """
    folder = RunFolder(run)
    for file in (folder.config, folder.best):
        if not file.is_file():
            raise TrainingError(f"{run}: no {file.name}, so this is no run; name its folder")
    with tempfile.TemporaryDirectory() as temporary:
        prepared = Path(temporary)
        gather(folder, prepared, repository, license=license, pictures=pictures)
        api = HfApi(endpoint=endpoint)
        try:
            address = api.create_repo(repository, private=not public, exist_ok=True)
            api.upload_folder(
                repo_id=repository, folder_path=prepared, commit_message="Upload by swinkit"
            )
        except HFValidationError as error:
            raise SwinkitError(
                f"{repository} is no name of a repository: use owner/name"
            ) from error
        except Exception as error:  # of huggingface_hub, of its connections, of the system
            raise SwinkitError(
                f"{repository}: the hub at {api.endpoint} did not take it "
                f"({reason_of(error)[:200]}); check the connection, and the token "
                "(hf auth login, or HF_TOKEN)"
            ) from error
    return str(address)


def gather(
    folder: RunFolder, target: Path, repository: str, *, license: str | None, pictures: bool
) -> None:
    """Lay out in a folder what the repository will hold."""
    config = recorded_config(folder.path)
    model = load(folder.best, report=None)
    assert isinstance(model, TaskModel), "a run trains no bare backbone"
    shown = dict(_pictures(folder)) if pictures else {}
    for place, picture in shown.items():
        (target / place).parent.mkdir(exist_ok=True)
        shutil.copyfile(picture, target / place)
    facts = RunFacts(
        config=config,
        model=model,
        summary=read_summary(folder.summary),
        counts=Resumed(folder).run["counts"] if folder.resume.is_file() else {},
        pictures=list(shown),
        license=license,
    )
    # What else stands there names files of this machine.
    trained_by = model.info.provenance.get("trained_by", "")
    told = {"trained_by": trained_by, "started_from": facts.started_from, "data": facts.data}
    model.info = replace(model.info, provenance=told)
    save(model, target / WEIGHTS)
    _without_places(config, facts).save(target / "training.yaml")
    shutil.copyfile(folder.results, target / "results.csv")
    card = model_card(facts, repository)
    (target / "README.md").write_text(card, encoding="utf-8")


def _without_places(config: TrainConfig, facts: RunFacts) -> TrainConfig:
    weights = None if config.model.weights is None else facts.started_from
    return replace(
        config,
        data=replace(config.data, path=Path(facts.data)),
        model=replace(config.model, weights=weights),
        runtime=replace(config.runtime, out=Path(config.runtime.out.name), resume=None),
    )


def _pictures(folder: RunFolder) -> Iterator[tuple[str, Path]]:
    """Place in the repository and file of each picture."""
    if folder.curves.is_file():
        yield "pictures/curves.png", folder.curves
    for split in ("val", "test"):
        for picture in sorted((folder.path / split).glob("*.png")):
            yield f"pictures/{split}_{picture.name}", picture
