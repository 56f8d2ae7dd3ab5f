"""Pages being made for `swinkit explore`: one at a time, few waiting, the last ones kept."""

import re
import secrets
import sys
import tempfile
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Literal

from swinkit.errors import SwinkitError, one_line

MOST_WAITING = 4  # pictures that wait or are worked on
MOST_KEPT = 8  # pages, of up to about 10 MB each
LONGEST_NAME = 80

# From a file and a function that is told what is done next, to a page.
Make = Callable[[Path, Callable[[str], object]], str]


@dataclass(kw_only=True)
class Job:
    """A picture on its way to a page.

    Attributes:
        key: unguessable, in addresses.
        name: of the file, as it is shown.
        line: what is done next, or why it failed.
        page: of a job that is done.
    """

    key: str
    name: str
    state: Literal["waiting", "running", "done", "failed"] = "waiting"
    line: str = "waiting"
    page: bytes = b""

    @property
    def is_open(self) -> bool:
        """Whether there is still work to be done."""
        return self.state in ("waiting", "running")


class Desk:
    """Takes pictures, makes their pages one after another in a thread, keeps the last ones."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()
        # What is in it is bounded by `reserve`; None ends the worker.
        self._queue: Queue[tuple[Job, bytes] | None] = Queue()
        self._worker = threading.Thread(target=self._work, daemon=True)
        self._worker.start()

    def reserve(self, name: str) -> Job | None:
        """A place for a picture that is about to be received; None where too many wait."""
        with self._lock:
            if sum(job.is_open for job in self._jobs.values()) >= MOST_WAITING:
                return None
            job = Job(key=secrets.token_hex(16), name=file_name(name))
            self._jobs[job.key] = job
            done = [key for key, own in self._jobs.items() if not own.is_open]
            for key in done[: max(0, len(self._jobs) - MOST_KEPT)]:
                del self._jobs[key]
            return job

    def hand_in(self, job: Job, content: bytes) -> None:
        """The picture of a reserved place."""
        self._queue.put((job, content))

    def give_up(self, job: Job) -> None:
        """A picture that was not received whole."""
        with self._lock:
            self._jobs.pop(job.key, None)

    def get(self, key: str) -> Job | None:
        """A job that is kept."""
        with self._lock:
            return self._jobs.get(key)

    def jobs(self) -> list[Job]:
        """Those that are kept, the newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def close(self) -> None:
        """End the worker once the picture that it works on is done; what waits is left."""
        while not self._queue.empty():
            self._queue.get()
        self._queue.put(None)
        self._worker.join()

    def _work(self) -> None:
        while (own := self._queue.get()) is not None:
            self._explain(*own)

    def _explain(self, job: Job, content: bytes) -> None:
        def say(line: str) -> None:
            job.line = line

        job.state = "running"
        try:
            with tempfile.TemporaryDirectory(prefix="swinkit") as folder:
                path = Path(folder) / job.name
                path.write_bytes(content)
                try:
                    job.page = self._make(path, say).encode("utf-8", "backslashreplace")
                except SwinkitError as error:
                    raise SwinkitError(str(error).replace(f"{folder}/", "")) from error
            job.state, job.line = "done", "done"
        except SwinkitError as error:
            job.line, job.state = str(error), "failed"
        except MemoryError:
            job.line, job.state = "not enough memory; use a smaller picture", "failed"
        except Exception as error:  # the next picture must not wait for ever
            traceback.print_exc(file=sys.stderr)
            job.line, job.state = one_line(f"{type(error).__name__}: {error}"), "failed"


def file_name(name: str) -> str:
    """A name that is safe as a file's, its suffix kept.

    >>> file_name("../../etc/my photo.jpg")
    'my photo.jpg'
    """
    own = re.split(r"[/\\]", name)[-1]
    own = re.sub(r"[^\w .+()-]", "_", own).strip(" .")
    return own[-LONGEST_NAME:] or "picture"
