"""Options that are refused: one line, which names the option and, if there is one, its like."""

import pytest

from swinkit.cli import main
from swinkit.commands.refusals import summarize


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("train x --task classification --lr abc", "float: 'abc'"),
        ("train x --task classification --optimizr.lr 3", "did you mean --optimizer.lr?"),
        ("train x --task classification --optimizer.kind foo", "one of ('adamw', 'muon')"),
        ("train x --task classification --optimizer.betas 1", "Expected 2 values"),
        ("train x y --task classification", "y belongs to no option"),
        ("predict a.png", "missing: --weights"),
        ("predict --weights", "'--weights'"),
        ("predict a.png --weights w --batch-size abc", "['abc']"),
        ("predict a.png --weights w --plots x", "no option --plots, did you mean --plot?"),
        ("predict a.png --weigths w", "no option --weigths, did you mean --weights?"),
        ("predict a.png --weigth=w", "no option --weigth, did you mean --weights?"),
        ("evaluate", "missing: --weights, --data"),
        ("inspect x --kind foo", "invalid choice 'foo'"),
        ("convert a", "missing: PATH, --to"),
        ("models --foo", "no option --foo"),
    ],
)
def test_one_line(words: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = words.split()
    assert main(command) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("swinkit: error: ")
    assert expected in line
    assert line.endswith(f"; see swinkit {command[0]} --help")
    assert not printed.out


def test_a_box_of_another_kind_is_kept_as_words() -> None:
    assert summarize("╭─ New ─╮\n│ ───── │\n│ Some  │\n│ fault │\n╰───────╯") == "Some fault"
