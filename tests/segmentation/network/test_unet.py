"""The U-Net decoder."""

import pytest
import torch

from swinkit.segmentation.network.unet import UNetHead


@pytest.mark.parametrize(("patch", "size_hw"), [(2, (30, 22)), (4, (33, 47)), (8, (64, 40))])
def test_full_resolution_at_any_size(patch: int, size_hw: tuple[int, int]) -> None:
    head = UNetHead(3, (8, 16, 32), patch, 32, 5).eval()
    maps = [
        torch.randn(1, 8 * 2**n, *(-(-side // (patch * 2**n)) for side in size_hw))
        for n in range(3)
    ]
    assert head(torch.randn(1, 3, *size_hw), maps).shape == (1, 5, *size_hw)


def test_every_skip_and_the_image_matter() -> None:
    head = UNetHead(1, (8, 16), 4, 16, 2).eval()
    image = torch.randn(1, 1, 16, 16, requires_grad=True)
    maps = [torch.randn(1, 8, 4, 4, requires_grad=True), torch.randn(1, 16, 2, 2)]
    maps[1].requires_grad_()
    head(image, maps).sum().backward()
    for value in (image, *maps):
        assert value.grad is not None
        assert value.grad.abs().sum() > 0
