"""Tables of plain text."""

from swinkit.data.tables import align


def test_names_to_the_left_numbers_to_the_right() -> None:
    rows = [["class", "train", "val"], ["cat", "1200", "7"], ["salamander", "3", "12"]]
    assert align(rows) == [
        "class       train  val",
        "cat          1200    7",
        "salamander      3   12",
    ]
