"""Attention of some windows, V1 and V2, with its gradient: what the CPU paths have in common.

Legend: B batch, C channels, N heads, d = C / N, T tokens per window, w windows of the piece, nS
windows on the seam of a shift, D = 3C.
"""

import torch
from torch import Tensor

EPSILON = 1e-12  # below which normalize does not divide


class AttentionPiece:
    """Query, key, value (`B w N T d`) and attention weights (`B w N T T`) of some windows.

    Args:
        qkv: `B w T D`.
        bias: (N, T, T) relative position bias.
        mask: (nS, T, T) for the last nS windows, or None.
        scale: V1 a number; V2 a tensor (N, 1, 1), which makes the attention cosine.
        heads: N.
    """

    def __init__(
        self, qkv: Tensor, bias: Tensor, mask: Tensor | None, scale: float | Tensor, heads: int
    ) -> None:
        self.scale = scale
        split = qkv.unflatten(-1, (3, heads, -1)).permute(3, 0, 1, 4, 2, 5)  # 3 B w N T d
        self.query, self.key, self.value = split.contiguous().unbind(0)
        if isinstance(scale, Tensor):
            pair = (self.query, self.key)
            self.lengths = [x.norm(dim=-1, keepdim=True).clamp_min(EPSILON) for x in pair]
            self.query, self.key = (x / y for x, y in zip(pair, self.lengths, strict=True))
            # Scaling the product, as the official code does, rounds as it does.
            scores = (self.query @ self.key.transpose(-2, -1)).mul_(scale).add_(bias)
        else:
            shape = (*self.query.shape[:-1], self.query.shape[-2])
            scores = bias.new_empty(shape).copy_(bias)  # B w N T T
            asking, asked = self.query.flatten(0, 2), self.key.flatten(0, 2)
            scores.flatten(0, 2).baddbmm_(asking, asked.transpose(1, 2), alpha=scale)
        if mask is not None:
            scores[:, scores.shape[1] - mask.shape[0] :] += mask[:, None]
        self.weights = scores.softmax(-1)

    def attended(self) -> Tensor:
        """`B w T C`."""
        return (self.weights @ self.value).transpose(2, 3).flatten(3)

    def backward(self, grad: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """From the gradient of `attended` to those of qkv (B w T D), the bias and the scale."""
        heads, width = self.query.shape[2], self.query.shape[4]
        grad = grad.unflatten(-1, (heads, width)).transpose(2, 3).contiguous()  # B w N T d
        to_weights = grad @ self.value.transpose(-2, -1)
        to_scores = torch._softmax_backward_data(to_weights, self.weights, -1, torch.float32)
        split = grad.new_empty(3, *grad.shape)
        to_scale = None
        torch.matmul(self.weights.transpose(-2, -1), grad, out=split[2])
        if isinstance(self.scale, Tensor):
            to_asking = to_scores @ self.key
            to_scale = (to_asking * self.query).sum((0, 1, 3, 4))[:, None, None]
            to_query = to_asking * self.scale
            to_key = to_scores.transpose(-2, -1) @ (self.query * self.scale)
            split[0] = _through_normalize(to_query, self.query, self.lengths[0])
            split[1] = _through_normalize(to_key, self.key, self.lengths[1])
        else:
            torch.matmul(to_scores, self.key, out=split[0])
            torch.matmul(to_scores.transpose(-2, -1), self.query, out=split[1])
            split[:2] *= self.scale
        to_qkv = split.permute(1, 2, 4, 0, 3, 5).flatten(3)  # B w T D
        return to_qkv, to_scores.sum((0, 1)), to_scale


def _through_normalize(grad: Tensor, unit: Tensor, length: Tensor) -> Tensor:
    return (grad - unit * (grad * unit).sum(-1, keepdim=True)) / length
