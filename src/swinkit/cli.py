"""The command `swinkit`. Nothing here imports PyTorch; a command does so once it runs."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from swinkit.commands.convert import Convert
from swinkit.commands.evaluate import Evaluate
from swinkit.commands.inspect import Inspect
from swinkit.commands.models import Models
from swinkit.commands.predict import Predict
from swinkit.commands.train import Train, train_defaults
from swinkit.errors import SwinkitError

DESCRIPTION = """The Swin Transformer: inspect, train, evaluate, predict, convert.

swinkit inspect photos: what the data holds, and what is wrong with it

swinkit train photos: on a folder with one folder of images per class

swinkit predict 'holiday/*.jpg' --weights runs/train/best.safetensors

swinkit evaluate --weights runs/train/best.safetensors --data photos

swinkit convert swin_tiny.pth swin_tiny.safetensors --to timm

swinkit models: the published networks and their weights

swinkit COMMAND --help shows every setting."""

EXIT_ERROR = 2
EXIT_INTERRUPT = 130  # 128 + SIGINT, as shells report it
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE

Command = Inspect | Train | Evaluate | Predict | Convert | Models


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0, 2 for a mistake, 130 when interrupted.

    A mistake of the caller prints one line to stderr, never a traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        _parse(arguments or ["--help"]).run()
        sys.stdout.flush()
    except SwinkitError as error:
        print(f"swinkit: error: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("swinkit: interrupted", file=sys.stderr)
        return EXIT_INTERRUPT
    except BrokenPipeError:
        # The reader has gone. Without this, Python's last flush at exit would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else EXIT_ERROR
    return 0


def _parse(arguments: list[str]) -> Command:
    train = train_defaults(arguments[1:] if arguments[0] == "train" else [])
    choice = (
        Annotated[Inspect, tyro.conf.subcommand("inspect")]
        | Annotated[Train, tyro.conf.subcommand("train", default=train)]
        | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
        | Annotated[Predict, tyro.conf.subcommand("predict")]
        | Annotated[Convert, tyro.conf.subcommand("convert")]
        | Annotated[Models, tyro.conf.subcommand("models")]
    )
    command: Command = tyro.cli(
        choice,
        prog="swinkit",
        description=DESCRIPTION,
        args=arguments,
    )
    return command


if __name__ == "__main__":
    sys.exit(main())
