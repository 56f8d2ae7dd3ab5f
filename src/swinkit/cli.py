"""The command `swinkit`. Nothing here imports PyTorch; a command does so once it runs."""

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Annotated, Any

import tyro

from swinkit.commands.convert import Convert
from swinkit.commands.evaluate import Evaluate
from swinkit.commands.inspect import Inspect
from swinkit.commands.models import Models
from swinkit.commands.predict import Predict
from swinkit.commands.train import Train, train_defaults
from swinkit.errors import ConfigError, SwinkitError, Terminated

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
EXIT_TERMINATED = 143  # 128 + SIGTERM

COMMANDS: dict[str, type[Any]] = {
    "inspect": Inspect,
    "train": Train,
    "evaluate": Evaluate,
    "predict": Predict,
    "convert": Convert,
    "models": Models,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0, 2 for a mistake, 130 when interrupted,
    143 when terminated.

    A mistake of the caller, or a refusal of the system, prints one line to stderr, never a
    traceback.
    """
    _open_standard_files()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        _parse(_readable(arguments) or ["--help"]).run()
        sys.stdout.flush()
    except SwinkitError as error:
        return _fail(str(error))
    except Terminated:
        print("swinkit: terminated", file=sys.stderr)
        return EXIT_TERMINATED
    except KeyboardInterrupt:
        print("swinkit: interrupted", file=sys.stderr)
        return EXIT_INTERRUPT
    except BrokenPipeError:
        # The reader has gone. Without this, Python's last flush at exit would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except OSError as error:
        # What is asked of files says so itself: this comes from what is printed.
        code = _fail(f"{error.filename or 'standard output'}: {error.strerror or error}")
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code
    except MemoryError:
        return _fail("not enough memory; use smaller images, batches, tiles or windows")
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else EXIT_ERROR
    return 0


def _open_standard_files() -> None:
    """Something to print to where the shell has closed it; escapes for what cannot be encoded."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(getattr(sys, name), io.TextIOWrapper):
            getattr(sys, name).reconfigure(errors="backslashreplace")


def _fail(message: str) -> int:
    with contextlib.suppress(OSError):  # a full or closed stderr
        print(f"swinkit: error: {message}", file=sys.stderr)
    return EXIT_ERROR


def _readable(arguments: list[str]) -> list[str]:
    """The words of the command, with `~` written out where the shell did not.

    Raises:
        ConfigError: an empty word; as a path it would be the current folder.
    """
    read: list[str] = []
    for argument in arguments:
        flag, equals, value = (
            argument.partition("=") if argument[:2] == "--" else ("", "", argument)
        )
        if not value and (equals or not flag):
            before = flag or (read[-1] if read else "swinkit")
            raise ConfigError(
                f"an empty word after {before}; give a value, or leave the option out"
            )
        if value == "~" or value.startswith("~/"):
            value = os.path.expanduser(value)
        read.append(f"{flag}{equals}{value}")
    return read


def _parse(arguments: list[str]) -> Any:
    """One of the commands, with the values of its options."""
    train = train_defaults(arguments[1:] if arguments[0] == "train" else [])
    defaults: dict[str, dict[str, Any]] = {"train": {"default": train}}
    choices = (
        Annotated[kind, tyro.conf.subcommand(name, **defaults.get(name, {}))]
        for name, kind in COMMANDS.items()
    )
    choice: Any = reduce(or_, choices)
    return tyro.cli(choice, prog="swinkit", description=DESCRIPTION, args=arguments)


if __name__ == "__main__":
    sys.exit(main())
