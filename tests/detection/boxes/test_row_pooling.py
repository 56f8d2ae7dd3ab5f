"""RoIAlign as sums of rows against torchvision's, for awkward boxes."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import roi_align

from swinkit.detection.boxes import row_pooling
from swinkit.detection.boxes.row_pooling import tap_counts


def pool_rows(level: Tensor, rois: Tensor, scale: float, size: int) -> Tensor:
    return torch.cat(row_pooling.pool_rows(level, rois, scale, size))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, Tensor, float, int]:
    """A map, boxes that may leave it or have no area, a scale, a side."""
    height, width = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    level = torch.randn(2, 3, height, width, dtype=torch.float64)
    number = st.floats(-40, 150, width=32, allow_subnormal=False)
    count = draw(st.integers(1, 6))
    rows = [[draw(st.integers(0, 1)), *(draw(number) for _ in range(4))] for _ in range(count)]
    rois = torch.tensor(rows, dtype=torch.float64)
    corners = rois[:, 1:].reshape(-1, 2, 2).sort(dim=1).values
    rois = torch.cat([rois[:, :1], corners.flatten(1)], dim=1)
    return level, rois, draw(st.sampled_from([1.0, 0.25])), draw(st.sampled_from([1, 3, 7]))


@given(cases())
@settings(deadline=None)
def test_like_torchvision(case: tuple[Tensor, Tensor, float, int]) -> None:
    level, rois, scale, size = case
    ours = pool_rows(level, rois, scale, size).view(len(rois), size, size, -1).permute(0, 3, 1, 2)
    assert torch.allclose(ours, roi_align(level, rois, size, scale, 0, True), atol=1e-9)


def test_a_box_turned_around_is_empty() -> None:
    # torchvision ends the process over some of these.
    rois = torch.tensor([[0.0, 5.0, 5.0, 1.0, 1.0], [0.0, 1.0, 5.0, 5.0, 1.0]])
    assert not pool_rows(torch.ones(1, 2, 8, 8), rois, 1.0, 3).any()


def test_layout_of_the_map_and_size_of_the_chunks_do_not_matter() -> None:
    level = torch.randn(2, 5, 12, 14)
    corner = torch.rand(30, 2) * 40
    rois = torch.cat([torch.randint(0, 2, (30, 1)), corner, corner + torch.rand(30, 2) * 40], 1)
    rois = rois[tap_counts(rois, 0.25, 7).prod(1).argsort()]
    whole = pool_rows(level, rois, 0.25, 7)
    together = level.to(memory_format=torch.channels_last)
    assert torch.equal(pool_rows(together, rois, 0.25, 7), whole)
    limit, row_pooling.CHUNK_PAIRS = row_pooling.CHUNK_PAIRS, 1
    try:
        assert torch.equal(pool_rows(level, rois, 0.25, 7), whole)
    finally:
        row_pooling.CHUNK_PAIRS = limit


def test_gradient_numerically() -> None:
    level = torch.randn(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0.0, 1.0, 2.0, 17.0, 19.0], [0.0, -3.0, 2.0, 30.0, 9.0]]).double()
    assert torch.autograd.gradcheck(lambda values: pool_rows(values, rois, 0.25, 2), level)
