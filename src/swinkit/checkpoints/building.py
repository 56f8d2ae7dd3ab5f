"""From named tensors to a filled model; what did not fit goes into the report."""

from dataclasses import replace

from torch import nn

from swinkit.backbones.swin import SwinBackbone
from swinkit.checkpoints.keymap import Tensors
from swinkit.checkpoints.report import LoadReport
from swinkit.checkpoints.transfer import Weights
from swinkit.classification.model import SwinClassifier
from swinkit.errors import CheckpointError


def build_classifier(weights: Weights, account: LoadReport, where: str) -> SwinClassifier:
    """A classifier; norms of earlier stages have no place in it."""
    assert weights.num_classes is not None
    last = weights.config.num_stages - 1
    config = replace(weights.config, norm_stages=(last,))
    model = SwinClassifier(config, num_classes=weights.num_classes)
    unused = [f"norms.{stage}" for stage in weights.config.norm_stages if stage != last]
    fill(model, without(weights.tensors, unused, account), account, where)
    return model


def build_backbone(weights: Weights, account: LoadReport, where: str) -> SwinBackbone:
    """A bare backbone; a classifier's head has no place in it."""
    model = SwinBackbone(weights.config)
    fill(model, without(weights.tensors, ["head.fc"], account), account, where)
    return model


def without(tensors: Tensors, modules: list[str], account: LoadReport) -> Tensors:
    """The tensors but those of `modules`, which the report lists as unused."""
    kept = dict(tensors)
    for module in modules:
        for name in [name for name in kept if name.startswith(module + ".")]:
            account.ignored[name] = f"{module} is no part of this task's model"
            del kept[name]
    return kept


def fill(model: nn.Module, tensors: Tensors, account: LoadReport, where: str) -> None:
    """Load the tensors, the backbone's named without `backbone.`, and account for each.

    Raises:
        CheckpointError: a tensor of another shape than the model's.
    """
    own = model.state_dict()
    expected = {name.removeprefix("backbone."): name for name in own}
    place = {name: value for name, value in tensors.items() if name in expected}
    for name, value in place.items():
        shape = tuple(own[expected[name]].shape)
        if tuple(value.shape) != shape:
            raise CheckpointError(
                f"{where}: {name} has shape {tuple(value.shape)}, expected {shape}; "
                "the file contradicts itself"
            )
    account.unexpected += [
        " + ".join(account.renamed.get(name, (name,))) for name in tensors if name not in expected
    ]
    account.missing += [
        name for name in expected if name not in place and name not in account.initialised
    ]
    model.load_state_dict({expected[name]: value for name, value in place.items()}, strict=False)
    account.loaded = len(place)
    account.parameters = sum(value.numel() for value in place.values())
