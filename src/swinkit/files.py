"""Writing files so that a reader sees the old one or the new one, never half of one."""

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from swinkit.errors import SwinkitError


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed to `path`.

    On any error, a full disk or an interrupt included, the temporary file is removed and an
    earlier `path` stays as it was. A killed process can leave a `.tmp` file behind, never a
    damaged `path`. Links are followed, the mode of an earlier file is kept, and a device or a pipe
    (`/dev/stdout`) is written to, not replaced.

    Raises:
        SwinkitError: the operating system refused the write (no space, no permission).
    """
    target = Path(path)
    try:
        target = Path(os.path.realpath(target))
        mode = target.stat().st_mode if target.exists() else None
        if mode is not None and stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        regular = mode is None or stat.S_ISREG(mode)
        folder = target.parent if regular else Path(tempfile.gettempdir())
        folder.mkdir(parents=True, exist_ok=True)
        # Names may be as long as the system allows: the temporary one takes little of it.
        handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=f".tmp{target.suffix[:9]}")
        os.close(handle)
    except (OSError, ValueError) as error:
        raise _write_error(Path(path), error) from error
    temporary = Path(name)
    try:
        yield temporary
        if regular:
            _replace(temporary, target, mode)
        else:
            with temporary.open("rb") as written, target.open("wb") as sink:
                shutil.copyfileobj(written, sink)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _write_error(Path(path), error) from error
    finally:
        temporary.unlink(missing_ok=True)


LONGEST_NAME = 255  # bytes of a file's or a folder's name, on all usual systems


def check_place(path: str | Path | None, *, folder: bool = False) -> None:
    """Refuse, before the work is done whose outcome goes there, a place that cannot be written.

    Args:
        path: a file that will be written, or with `folder` a folder of files; None: neither.

    Raises:
        SwinkitError: it says what `atomic_write` would say at the end.
    """
    if path is None:
        return
    target = Path(os.path.realpath(path))
    there = next(place for place in (target, *target.parents) if os.path.lexists(place))
    missing = target.relative_to(there).parts
    is_folder = there.is_dir()
    code = 0
    if any(len(os.fsencode(name)) > LONGEST_NAME for name in missing):
        code = errno.ENAMETOOLONG
    elif (missing or folder) and not is_folder:
        code = errno.ENOTDIR
    elif is_folder and not missing and not folder:
        code = errno.EISDIR
    elif is_folder or there.is_file():
        # A file is replaced: what counts is its folder.
        changed = there if is_folder else there.parent
        code = 0 if os.access(changed, os.W_OK | os.X_OK) else errno.EACCES
    elif not os.access(there, os.W_OK):
        code = errno.EACCES
    if code:
        raise _write_error(Path(path), OSError(code, os.strerror(code)))


def _replace(temporary: Path, target: Path, mode: int | None) -> None:
    """Rename with the file, then its entry in the folder, safe on the disk."""
    with temporary.open("rb+") as written:
        os.fsync(written.fileno())
    temporary.chmod(0o666 & ~_umask() if mode is None else stat.S_IMODE(mode))
    os.replace(temporary, target)
    with contextlib.suppress(OSError):  # some systems cannot open a folder, or sync one
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _write_error(target: Path, error: OSError | ValueError) -> SwinkitError:
    reason = getattr(error, "strerror", None) or str(error)
    return SwinkitError(
        f"cannot write {target}: {reason}; free space or choose another folder "
        "(an earlier file there is unchanged)"
    )
