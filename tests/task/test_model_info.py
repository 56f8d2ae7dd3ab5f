"""ModelInfo: either way of preparing an image goes through JSON and comes back."""

import json

import pytest

from swinkit.images.fitting import Fit
from swinkit.images.preprocessing import Preprocessing
from swinkit.task.model import ModelInfo


@pytest.mark.parametrize("prepared", [Fit(short_side=640), Preprocessing.for_size(96), Fit()])
def test_through_json_and_back(prepared: Fit | Preprocessing) -> None:
    info = ModelInfo(class_names=("a", "b"), preprocessing=prepared, metrics={"val_ap": 0.5})
    again = ModelInfo.from_dict(json.loads(json.dumps(info.to_dict())))
    assert again == info
