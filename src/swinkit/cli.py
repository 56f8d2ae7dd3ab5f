"""The command `swinkit`. Only the command that is named is imported, and PyTorch once it runs."""

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from swinkit import __version__
from swinkit.errors import ConfigError, SwinkitError, Terminated, extras_named

HELP = """usage: swinkit [-h] [--version] COMMAND ...

The Swin Transformer: inspect, train, evaluate, predict, convert.

{commands}

For example:
  swinkit inspect photos
  swinkit train photos                  a folder with one folder of images per class
  swinkit predict 'holiday/*.jpg' --weights runs/train/best.safetensors
  swinkit evaluate --weights runs/train/best.safetensors --data photos
  swinkit convert swin_tiny.pth swin_tiny.safetensors --to timm

swinkit COMMAND --help shows every setting."""

EXIT_ERROR = 2
EXIT_INTERRUPT = 130  # 128 + SIGINT, as shells report it
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE
EXIT_TERMINATED = 143  # 128 + SIGTERM

# The class in swinkit.commands.NAME is the name with a capital.
COMMANDS = {
    "inspect": "what a data set holds, and what is wrong with it",
    "train": "train a classifier, a detector or a segmenter on your own images",
    "pretrain": "pretrain a backbone on images without labels",
    "evaluate": "measure a trained model on labeled images",
    "predict": "classify images, detect objects in them, or segment them",
    "embed": "write a vector for each image",
    "similar": "find the images most like another one",
    "push": "put a trained model on the Hugging Face hub",
    "convert": "write a checkpoint for another package",
    "export": "write a model for ONNX Runtime, OpenVINO or torch.export, with proof",
    "benchmark": "what runs a network how fast on this machine",
    "complexity": "what windows cost beside global attention, term by term",
    "explain": "what a model does with one image, as a page",
    "explore": "the same for every picture that is dropped on a page",
    "models": "the published networks and their weights",
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
        with extras_named():
            _run(_readable(arguments))
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


def _run(arguments: list[str]) -> None:
    """The command that the arguments name.

    Raises:
        ConfigError: there is none of that name.
    """
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        listed = (f"  {command:<{width}}  {does}" for command, does in COMMANDS.items())
        print(HELP.format(commands="\n".join(listed)))
    elif name == "--version":
        print(f"swinkit {__version__}")
    elif name in COMMANDS:
        _parse(name, rest).run()
    else:
        raise ConfigError(f"no command {name!r}; choose one of {', '.join(COMMANDS)}")


def _parse(name: str, arguments: list[str]) -> Any:
    """A command with the values of its options."""
    import tyro

    from swinkit.commands.refusals import in_one_line

    module = import_module(f"swinkit.commands.{name}")
    if hasattr(module, "print_help") and {"-h", "--help"} & set(arguments):
        module.print_help(arguments)
        raise SystemExit(0)
    arguments = ["--help" if word == "--help-all" else word for word in arguments]
    kind = getattr(module, name.capitalize())
    defaults = (
        {"default": module.train_defaults(arguments)} if hasattr(module, "train_defaults") else {}
    )
    with in_one_line(f"swinkit {name}", arguments):
        return tyro.cli(kind, prog=f"swinkit {name}", args=arguments, **defaults)


if __name__ == "__main__":
    sys.exit(main())
