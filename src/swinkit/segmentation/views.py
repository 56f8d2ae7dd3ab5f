"""Mean probabilities of several views of an image, in bounded memory.

A view is the image in another size, perhaps mirrored, seen through windows or through one as large
as itself. The mean needs all views at the same pixels, but not all pixels at a time: block by block
of the output, each view gives the logits that the block reads. A small view keeps them all;
a large one makes them then, and the windows across a border between blocks are run twice.

Legend: C channels, K classes, H W image, h w view.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from swinkit.segmentation.sliding import Advance, SlidingWindow
from swinkit.segmentation.upsample import Block, block_read, blocks, upsample
from swinkit.settings import Progress, SizeHW


@dataclass(eq=False, kw_only=True)
class View:
    """One view of an image.

    Attributes:
        window: slides over the view.
        mirrored: left and right are exchanged in the view.
        keep: make all of its logits once, and keep them.
        kept: these, `K h w`, as of the image that is not mirrored.
    """

    window: SlidingWindow
    mirrored: bool = False
    keep: bool = False
    kept: Tensor | None = None

    @property
    def size_hw(self) -> SizeHW:
        """Of the view, in its own pixels."""
        return self.window.size_hw

    def count(self, blocks: Sequence[Block]) -> int:
        """Windows that are run for these parts of the view, one after the other."""
        if self.keep:
            return self.window.count()
        return sum(self.window.count(self._turned(block)) for block in blocks)

    def logits(self, block: Block, advance: Advance) -> Tensor:
        """`K rows columns` of a part of the view, as of the image that is not mirrored."""
        if not self.keep:
            return self._turned_back(self.window.logits(self._turned(block), advance))
        if self.kept is None:
            self.kept = self._turned_back(self.window.logits(None, advance))
        return self.kept[:, slice(*block[0]), slice(*block[1])]

    def _turned(self, block: Block) -> Block:
        rows, (left, right) = block
        width = self.size_hw[1]
        return (rows, (width - right, width - left)) if self.mirrored else block

    def _turned_back(self, maps: Tensor) -> Tensor:
        return maps.flip(-1) if self.mirrored else maps


def mean_scores(
    views: Sequence[View],
    output_hw: SizeHW,
    *,
    pixels: int,
    logits: bool = False,
    progress: Progress | None = None,
) -> Iterator[tuple[Block, Tensor]]:
    """Mean probabilities over views, block by block.

    Args:
        views: of one image; each is upsampled to the output before its softmax.
        output_hw: size of the output.
        pixels: of a block; several times K numbers exist for each of them.
        logits: of a single view, leave out the softmax, which does not change the best class.
        progress: called with (windows done, all).

    Yields:
        Blocks that cover the output once, each with its `K H W`.
    """
    parts = list(blocks(output_hw, pixels))
    reads = [[block_read(view.size_hw, output_hw, part) for part in parts] for view in views]
    # In its own pixels a single view needs no blocks: what its window has left behind is done.
    streamed = len(views) == 1 and views[0].size_hw == output_hw and not views[0].mirrored
    total = views[0].window.count() if streamed else sum(map(View.count, views, reads))
    done = 0

    def advance(number: int) -> None:
        nonlocal done
        done += number
        if progress is not None:
            progress(done, total)

    if streamed:
        for block, scores in views[0].window.stream(None, advance):
            yield block, scores if logits else scores.softmax(0)
        return
    for block, *read in zip(parts, *reads, strict=True):
        mean: Tensor | None = None
        for view, part in zip(views, read, strict=True):
            scores = upsample(view.logits(part, advance), part, view.size_hw, output_hw, block)
            scores = scores if logits else scores.softmax(0)
            mean = scores if mean is None else mean.add_(scores)
            del scores  # nothing of a view outlives its turn
        assert mean is not None, "an image has at least one view"
        yield block, mean if len(views) == 1 else mean.div_(len(views))
