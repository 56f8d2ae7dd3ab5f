"""The bar of `predict` and `evaluate`."""

import io

from rich.console import Console

from swinkit.console import ImagesBar


def drawn(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_images_and_pieces_move_one_bar_that_never_goes_back() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with ImagesBar(console) as bar:
        assert not drawn(console)
        parts = []
        for step in (bar.images, bar.piece):
            step(0, 2)
        for done in (1, 3, 4):
            bar.piece(done, 4)
            parts.append(bar.completed)
        bar.images(1, 2)
        bar.piece(1, 2)
        parts.append(bar.completed)
        bar.piece(0, 2)
        parts.append(bar.completed)
        bar.images(2, 2)
    assert parts == [0.25, 0.75, 1.0, 1.5, 1.5]
    assert "2/2 images" in drawn(console)
    assert "100 %" in drawn(console)


def test_nothing_but_on_a_terminal() -> None:
    console = Console(file=io.StringIO())
    with ImagesBar(console) as bar:
        bar.images(1, 3)
        bar.piece(1, 2)
    assert not drawn(console)
