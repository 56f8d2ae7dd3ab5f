"""Files appear whole or not at all."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from swinkit.errors import SwinkitError
from swinkit.files import atomic_write, check_place


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "weights.bin")


def test_writes_a_new_file_and_its_folders(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "weights.bin"
    with atomic_write(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".bin"
        temporary.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert leftovers(target.parent) == []


def test_has_the_permissions_of_an_ordinary_file(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.write_text("x")
    with atomic_write(tmp_path / "weights.bin") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "weights.bin").stat().st_mode == ordinary.stat().st_mode


@pytest.mark.parametrize("interruption", [RuntimeError("boom"), KeyboardInterrupt()])
def test_an_error_keeps_the_earlier_file(tmp_path: Path, interruption: BaseException) -> None:
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")

    def write() -> None:
        with atomic_write(target) as temporary:
            temporary.write_bytes(b"half")
            raise interruption

    with pytest.raises(type(interruption)):
        write()
    assert target.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_full_disk_is_one_line_and_keeps_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, broken, full)
    with pytest.raises(SwinkitError) as caught, atomic_write(target) as temporary:
        temporary.write_bytes(b"new")
    message = str(caught.value)
    assert "\n" not in message
    assert str(target) in message
    assert "No space left on device" in message
    assert "unchanged" in message
    assert target.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_real_write_without_space_is_reported(tmp_path: Path) -> None:
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")
    with (
        pytest.raises(SwinkitError, match="No space left"),
        atomic_write(target),
        open("/dev/full", "wb", buffering=0) as device,
    ):
        device.write(b"x")
    assert target.read_bytes() == b"old"


def test_a_file_in_place_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(SwinkitError, match="cannot write"),
        atomic_write(tmp_path / "file" / "weights.bin"),
    ):
        pytest.fail("there is nothing to write to")


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_kill_while_writing_keeps_the_earlier_file(tmp_path: Path) -> None:
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")
    code = """
        import os, signal, sys
        from swinkit.files import atomic_write, check_place
        with atomic_write(sys.argv[1]) as temporary:
            temporary.write_bytes(b"half of the new fi")
            os.kill(os.getpid(), signal.SIGKILL)
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(target)], check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    assert all(".tmp" in name for name in leftovers(tmp_path))
    with atomic_write(target) as temporary:
        temporary.write_bytes(b"new")
    assert target.read_bytes() == b"new"


def test_links_are_followed_and_modes_kept(tmp_path: Path) -> None:
    real = tmp_path / "real.bin"
    real.write_bytes(b"old")
    real.chmod(0o600)
    link = tmp_path / "link.bin"
    link.symlink_to(real)
    with atomic_write(link) as temporary:
        temporary.write_bytes(b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert real.stat().st_mode & 0o777 == 0o600


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with atomic_write(pipe) as temporary:
        temporary.write_bytes(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_full_device_is_one_line() -> None:
    with (
        pytest.raises(SwinkitError, match="No space left"),
        atomic_write("/dev/full") as temporary,
    ):
        temporary.write_bytes(b"x" * 10)


@pytest.mark.parametrize("name", ["x" * 300, "a\x00b", "/proc/no/such"])
def test_names_that_cannot_be(name: str, tmp_path: Path) -> None:
    with pytest.raises(SwinkitError, match="cannot write"), atomic_write(tmp_path / name):
        pass


def test_the_longest_name(tmp_path: Path) -> None:
    name = "x" * 251 + ".bin"
    with atomic_write(tmp_path / name) as temporary:
        temporary.write_bytes(b"x")
    assert os.listdir(tmp_path) == [name]


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(SwinkitError, match="Is a directory"), atomic_write(tmp_path):
        pass


def test_a_place_is_checked_without_making_anything(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    check_place(None)
    check_place(tmp_path / "file")
    check_place(tmp_path / "new" / "deep" / "file.json")
    check_place(tmp_path / "new", folder=True)
    check_place(tmp_path, folder=True)
    check_place("/dev/null")
    long = "x" * 256
    for path, folder, reason in (
        (tmp_path, False, "Is a directory"),
        (tmp_path / "file", True, "Not a directory"),
        (tmp_path / "file" / "below", False, "Not a directory"),
        (tmp_path / long, False, "File name too long"),
        (tmp_path / "new" / long / "below", True, "File name too long"),
    ):
        with pytest.raises(SwinkitError, match=f"{reason}; free space or choose another folder"):
            check_place(path, folder=folder)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    for folder in (False, True):
        with pytest.raises(SwinkitError, match="Permission denied"):
            check_place(tmp_path / "new", folder=folder)
