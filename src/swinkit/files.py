"""Writing files so that a reader sees the old one or the new one, never half of one."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from swinkit.errors import SwinkitError


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed to `path`.

    On any error, a full disk or an interrupt included, the temporary file is removed and an
    earlier `path` stays as it was. A killed process can leave a `.tmp` file behind, never a
    damaged `path`.

    Raises:
        SwinkitError: the operating system refused the write (no space, no permission).
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.stem}.", suffix=f".tmp{target.suffix}"
        )
        os.close(handle)
    except OSError as error:
        raise _write_error(target, error) from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        raise _write_error(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _write_error(target: Path, error: OSError) -> SwinkitError:
    reason = error.strerror or str(error)
    return SwinkitError(
        f"cannot write {target}: {reason}; free space or choose another folder "
        "(an earlier file there is unchanged)"
    )
