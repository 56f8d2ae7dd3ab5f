"""Box and mask heads: shapes, norms, the flow between stages, RoIs that are not there."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from swinkit.detection.network.heads import BoxHead, MaskHead
from swinkit.detection.network.htc import flow_features
from swinkit.detection.roi_config import BoxHeadConfig, MaskHeadConfig
from swinkit.errors import ConfigError


def head(**changes: object) -> BoxHead:
    settings = {"num_convs": 1, "conv_channels": 32, "num_fcs": 1, "fc_channels": 16, "roi_size": 3}
    return BoxHead(8, 5, BoxHeadConfig(**{**settings, **changes}))


@pytest.mark.parametrize("norm", ["none", "batch", "sync_batch", "group"])
@pytest.mark.parametrize("agnostic", [False, True])
def test_logits_and_deltas(norm: str, agnostic: bool) -> None:
    logits, deltas = head(norm=norm, class_agnostic=agnostic)(torch.randn(7, 8, 3, 3))
    assert logits.shape == (7, 6)
    assert deltas.shape == (7, 4 if agnostic else 20)


def test_names_of_weights() -> None:
    names = set(head(norm="batch").state_dict())
    wanted = {"convs.0.conv.weight", "convs.0.norm.running_mean", "fcs.0.bias", "scores.weight"}
    assert wanted <= names
    assert "convs.0.conv.bias" not in names
    assert "convs.0.conv.bias" in head(norm="none").state_dict()


def test_published_heads() -> None:
    shared = BoxHead(256, 80, BoxHeadConfig())
    assert [tuple(layer.weight.shape) for layer in shared.fcs] == [(1024, 12544), (1024, 1024)]


def test_sync_batch_on_one_process_is_batch() -> None:
    features = torch.randn(4, 8, 3, 3)
    one, other = head(norm="batch"), head(norm="sync_batch")
    other.load_state_dict(one.state_dict())
    for left, right in zip(one(features), other(features), strict=True):
        assert torch.equal(left, right)
    assert torch.equal(one.convs[0].norm.running_var, other.convs[0].norm.running_var)


@pytest.mark.parametrize("norm", ["none", "group"])
def test_no_rois(norm: str) -> None:
    model = head(norm=norm)
    logits, deltas = model(torch.zeros(0, 8, 3, 3))
    (logits.sum() + deltas.sum()).backward()
    assert all(not parameter.grad.any() for parameter in model.parameters())


def test_lower_precision_gives_float32() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        logits, deltas = head()(torch.randn(2, 8, 3, 3))
    assert logits.dtype == deltas.dtype == torch.float32


def test_settings_that_cannot_work() -> None:
    with pytest.raises(ConfigError, match="choose none, batch"):
        BoxHeadConfig(norm="layer")
    with pytest.raises(ConfigError, match="at least one"):
        BoxHeadConfig(num_fcs=0)
    with pytest.raises(ConfigError, match="32 equal groups, not 40"):
        head(norm="group", conv_channels=40)


@pytest.mark.parametrize("norm", ["batch", "sync_batch"])
def test_folded_norm_is_the_norm(norm: str) -> None:
    model = head(norm=norm)
    for _ in range(3):
        model(torch.randn(6, 8, 3, 3) + 1)
    torch.nn.init.normal_(model.convs[0].norm.weight)
    torch.nn.init.normal_(model.convs[0].norm.bias)
    features = torch.randn(5, 8, 3, 3)
    model.eval()
    plain = model(features)
    with torch.no_grad():
        folded = model(features)
    for one, other in zip(plain, folded, strict=True):
        torch.testing.assert_close(one, other)


TWO_PROCESSES = """
import os, sys, torch, torch.distributed as dist
from swinkit.detection.network.heads import SyncBatchNorm
folder = sys.argv[1]
torch.set_num_threads(1)
child = os.fork()  # two that import nothing anew
rank = int(child == 0)
dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
features, wanted, weight = torch.load(f"{folder}/in.pt")
rows = slice(0, 2) if rank == 0 else slice(2, 5)
own = features[rows].requires_grad_()
norm = SyncBatchNorm(3)
norm.weight.data.copy_(weight)
found = norm(own)
(found * wanted[rows]).sum().backward()
torch.save((found.detach(), own.grad, norm.running_var), f"{folder}/out{rank}.pt")
dist.destroy_process_group()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_two_processes_have_the_statistics_of_one(tmp_path: Path) -> None:
    features, wanted = torch.randn(5, 3, 2, 2) * 3 + 1, torch.randn(5, 3, 2, 2)
    weight = torch.randn(3)
    torch.save((features, wanted, weight), tmp_path / "in.pt")
    command = [sys.executable, "-c", TWO_PROCESSES, str(tmp_path)]
    assert subprocess.run(command, timeout=120, check=False).returncode == 0
    whole = torch.nn.BatchNorm2d(3)
    whole.weight.data.copy_(weight)
    features.requires_grad_()
    found = whole(features)
    (found * wanted).sum().backward()
    parts = [torch.load(tmp_path / f"out{rank}.pt") for rank in (0, 1)]
    torch.testing.assert_close(torch.cat([part[0] for part in parts]), found.detach())
    torch.testing.assert_close(torch.cat([part[1] for part in parts]), features.grad)
    for part in parts:
        torch.testing.assert_close(part[2], whole.running_var)


SMALL = MaskHeadConfig(num_convs=2, channels=8)


def test_logits_of_the_own_class() -> None:
    head = MaskHead(8, 5, SMALL)
    torch.nn.init.normal_(head.logits.bias)
    features = head.features(torch.randn(4, 8, 7, 7))
    labels = torch.tensor([4, 0, 2, 2])
    every = head.all_logits(features)
    assert every.shape == (4, 5, 14, 14)
    own = head.label_logits(features, labels)
    torch.testing.assert_close(own, every[torch.arange(4), labels])


def test_flow_adds_the_features_of_the_stage_before() -> None:
    heads = [MaskHead(8, 5, SMALL), MaskHead(8, 5, SMALL, flow=True)]
    pooled = torch.randn(3, 8, 7, 7)
    first, second = flow_features(heads, pooled)
    assert torch.equal(first, heads[0].features(pooled))
    wanted = heads[1].features(pooled + heads[1].flow(first).relu())
    assert torch.equal(second, wanted)
    assert not torch.equal(second, heads[1].features(pooled))


def test_heads_without_flow_stand_alone() -> None:
    heads = [MaskHead(8, 5, SMALL), MaskHead(8, 5, SMALL)]
    pooled = torch.randn(3, 8, 7, 7)
    assert torch.equal(flow_features(heads, pooled)[1], heads[1].features(pooled))


def test_no_rois_for_masks() -> None:
    head = MaskHead(8, 5, SMALL)
    logits = head(torch.zeros(0, 8, 7, 7))
    logits.sum().backward()
    assert logits.shape == (0, 5, 14, 14)
    assert all(not parameter.grad.any() for parameter in head.parameters())
    features = head.features(torch.zeros(0, 8, 7, 7))
    assert head.label_logits(features, torch.zeros(0, dtype=torch.long)).shape == (0, 14, 14)
