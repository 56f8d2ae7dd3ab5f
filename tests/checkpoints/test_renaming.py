"""Names both ways without building a swinkit model: every tensor there and back, bit by bit."""

import pytest
import torch
from checkpoint_peers import huggingface, timm_v1, timm_v2, torchvision_swin
from torch import Tensor

from swinkit.checkpoints.infer import infer_backbone
from swinkit.checkpoints.renaming import read_backbone, write_backbone
from swinkit.checkpoints.report import LoadReport
from swinkit.checkpoints.sources import recognize

PEERS = {
    "timm v1": (timm_v1, {}, "timm"),
    "timm v2": (timm_v2, {}, "timm"),
    "torchvision v1": (torchvision_swin, {"version": 1}, "torchvision"),
    "torchvision v2": (torchvision_swin, {"version": 2, "window": (8, 8)}, "torchvision"),
    "transformers v1": (huggingface, {"version": 1}, "huggingface"),
    "transformers v2": (huggingface, {"version": 2}, "huggingface"),
}


def parameters(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in model.named_parameters()}


@pytest.mark.parametrize("peer", PEERS)
def test_every_tensor_is_explained_and_comes_back(peer: str) -> None:
    build, settings, name = PEERS[peer]
    state = dict(build(**settings).state_dict())
    _, table = recognize(state, "file")
    assert table.name == name
    report = LoadReport(origin="file", source=table.title)
    native = read_backbone(table, state, report)
    assert not report.unexpected
    assert not report.other
    native.window_size = 8
    found = infer_backbone(native)
    assert found.config.depths == (2, 2, 2, 2)
    assert found.config.num_heads == (1, 2, 4, 8)
    assert found.config.embed_dim == 16
    assert found.config.mlp_ratio == 4
    assert native.tensors["head.fc.weight"].shape[0] == 11
    again = read_backbone(table, write_backbone(table, native.tensors, native.version), report)
    assert again.tensors.keys() == native.tensors.keys()
    for key, value in native.tensors.items():
        assert torch.equal(value, again.tensors[key]), key


def test_key_bias_of_torchvision_v2_is_left_out() -> None:
    state = dict(torchvision_swin(2, (8, 8)).state_dict())
    report = LoadReport(origin="file", source="torchvision")
    native = read_backbone(recognize(state, "file")[1], state, report)
    fused = state["features.1.0.attn.qkv.bias"]
    assert torch.equal(native.tensors["stages.0.blocks.0.attention.q_bias"], fused[:16])
    assert torch.equal(native.tensors["stages.0.blocks.0.attention.v_bias"], fused[32:])
