"""The toy as the rest of the package asks it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swinkit.data.config import DataConfig
from swinkit.data.inspection import Inspection
from swinkit.errors import ConfigError
from swinkit.task.base import NetworkSummary, Recognized, Task
from swinkit.task.format import ResultFormat
from swinkit.task.options import EvaluateOptions, PredictOptions
from swinkit.task.train_config import TrainConfig
from toy_task.model import TINY, Level, SwinToy


@dataclass(frozen=True, kw_only=True)
class ToyOptions(PredictOptions):
    gain: float = 1.0
    """Toy: multiply levels by this."""


class ToyReport:
    def table(self) -> str:
        return "all levels are right"


class ToyFormat(ResultFormat[Level]):
    columns = ("level",)
    heading = ("level",)

    def __init__(self, gain: float) -> None:
        self.gain = gain

    def entries(self, result: Level) -> list[dict[str, Any]]:
        return [{"source": result.source, "level": self.gain * result.value}]

    def rows(self, result: Level) -> list[tuple[str | int | float, ...]]:
        return [(self.gain * result.value,)]

    def cells(self, result: Level) -> list[str]:
        return [f"{self.gain * result.value:.3f}"]

    def plot(self, result: Level, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(self.cells(result)[0])


class ToyTask(Task[SwinToy, Level]):
    name = "toy"
    model_kind = "toy"
    data_kinds = ("levels",)
    train_config = TrainConfig
    recipe = str(Path(__file__).with_name("recipe.yaml"))
    creator = "create_toy"
    predict_options = ToyOptions

    def network_names(self) -> Sequence[str]:
        return ("swin_toy",)

    def networks(self) -> list[NetworkSummary]:
        windows = TINY.backbone.windows
        return [
            NetworkSummary(
                name="swin_toy", windows=windows, params="1M", multiply_adds=None, drop_path_rate=0
            )
        ]

    def recognize(self, path: Path) -> Recognized | None:
        return Recognized(task="toy", kind="levels") if (path / "levels.txt").is_file() else None

    def layouts(self, path: Path) -> str:
        return "levels.txt"

    def names_in(self, path: Path) -> tuple[str, ...]:
        return ("level",)

    def inspect(self, config: DataConfig, *, pictures: int, seed: int) -> Inspection:
        return Inspection(path=config.path, title="levels", tables=(), notes=(), problems=())

    def predict(
        self, model: SwinToy, images: Sequence[Path], options: Any, **_: Any
    ) -> Iterator[Level]:
        return model.predict_iter(images)

    def result_format(
        self, model: SwinToy, options: ToyOptions, names: Mapping[str, str]
    ) -> ToyFormat:
        return ToyFormat(options.gain)

    def evaluate(
        self, model: SwinToy, data: Any, options: EvaluateOptions, **_: Any
    ) -> tuple[ToyReport, list[str]]:
        return ToyReport(), ["one level was left out"]

    def training(self, config: TrainConfig) -> Any:
        raise ConfigError("the toy is born trained")


TASK = ToyTask()
