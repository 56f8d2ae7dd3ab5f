"""Fetching weight files: from a Hugging Face hub, or from a URL whose hash is known."""

import hashlib
import logging
import os
import re
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit

import torch
from huggingface_hub import get_session, hf_hub_download
from huggingface_hub.constants import ENDPOINT, HF_HUB_CACHE
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

from swinkit.errors import CheckpointError
from swinkit.files import atomic_write
from swinkit.parsing import mapping, read_json

_HUB_ID = re.compile(r"([a-z0-9][\w.-]*)/[a-z0-9][\w.-]*(@[\w./-]+)?", re.ASCII | re.IGNORECASE)
_INDEX = "model.safetensors.index.json"
_WEIGHTS_IN_REPOSITORY = ("model.safetensors", "pytorch_model.bin", _INDEX)
TIMEOUT_SECONDS = 60
ANSWER_SECONDS = 10
TOO_MANY = 429  # requests
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_url(text: str) -> bool:
    return text.startswith(("https://", "http://", "file://"))


def is_hub_id(text: str) -> bool:
    """owner/name or owner/name@revision, unless that begins with a folder that is here."""
    found = _HUB_ID.fullmatch(text)
    return found is not None and not os.path.exists(found[1])


def cache_folder() -> Path:
    """Where downloads by URL are kept: beside PyTorch's own downloads."""
    return Path(torch.hub.get_dir()) / "swinkit"


def fetch_hub(
    name: str,
    beside: tuple[str, ...] = (),
    *,
    endpoint: str | None = None,
    cache: Path | None = None,
) -> Path:
    """Folder with the weights of `owner/name` and the files beside them that it has.

    Raises:
        CheckpointError: no such repository, no weights in it, or no connection.
    """
    fault = _no_answer(name, endpoint or ENDPOINT)
    fetched = _first_present(name, _WEIGHTS_IN_REPOSITORY, endpoint, cache, fault)
    if fetched is None:
        raise CheckpointError(
            f"{name} has neither {' nor '.join(_WEIGHTS_IN_REPOSITORY)} in its repository"
        )
    for file in (*(_shards(fetched) if fetched.name == _INDEX else ()), *beside):
        _first_present(name, (file,), endpoint, cache, fault)
    return fetched.parent


def _shards(index: Path) -> list[str]:
    """Names of the files beside an index that hold the tensors."""
    places = mapping(mapping(read_json(index, error=CheckpointError)).get("weight_map"))
    return sorted({name for name in places.values() if isinstance(name, str)})


def _first_present(
    name: str,
    files: tuple[str, ...],
    endpoint: str | None,
    cache: Path | None,
    fault: str | None,
) -> Path | None:
    """The first of `files` that the repository has, downloaded or from the cache.

    Args:
        fault: why the hub is not asked; None asks it.
    """
    repository, _, revision = name.partition("@")
    for file in files:
        try:
            with _quiet_hub():
                return Path(
                    hf_hub_download(
                        repository,
                        file,
                        revision=revision or None,
                        endpoint=endpoint,
                        cache_dir=cache,
                        local_files_only=fault is not None,
                    )
                )
        except RepositoryNotFoundError as error:
            raise CheckpointError(
                f"{name}: no such repository on the hub, or it is private; check the name"
            ) from error
        except LocalEntryNotFoundError as error:
            raise CheckpointError(
                f"{name}: no such file here; as a hub id: the hub cannot be reached "
                f"({fault or _first(error.__cause__ or error)}), and {file} is not in the cache "
                f"{cache or HF_HUB_CACHE}; name a weight file, or train from random weights with "
                "--recipe small_data"
            ) from error
        except EntryNotFoundError:
            continue
        except HFValidationError as error:
            raise CheckpointError(f"{name} is no valid hub id ({_first(error)})") from error
        except (HfHubHTTPError, OSError) as error:
            raise CheckpointError(f"{name}: the hub refused {file} ({_first(error)})") from error
        except Exception as error:  # of whichever library makes the hub's connections
            raise CheckpointError(
                f"{name}: the download of {file} broke off ({_first(error)}); try again"
            ) from error
    return None


def _no_answer(name: str, endpoint: str) -> str | None:
    """Why a hub gives no answer about a repository's weights; None: it does.

    Asked first, because huggingface_hub tries for half a minute and then does not say what failed.
    """
    repository, _, revision = name.partition("@")
    path = f"{repository}/resolve/{revision or 'main'}/{_WEIGHTS_IN_REPOSITORY[0]}"
    try:
        # By its own connections: they know the proxy, the certificates and the offline mode.
        answer = get_session().head(f"{endpoint}/{quote(path)}", timeout=ANSWER_SECONDS)
    except Exception as error:  # of whichever library makes them
        return f"{endpoint}{_through_proxy(endpoint)}: {_first(error)}"
    if answer.status_code < 500 and answer.status_code != TOO_MANY:
        return None
    return f"{endpoint} answers {answer.status_code}"


def _through_proxy(address: str) -> str:
    """The proxy that the environment puts before an address, in words; nothing where none is."""
    parts = urlsplit(address)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    return f" through the proxy {urlsplit(proxy if '//' in proxy else f'//{proxy}').hostname}"


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """Keep the hub's remarks about its attempts off the screen: the last one becomes the error."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def fetch_url(
    url: str, *, need_hash: bool = True, cache: Path | None = None
) -> tuple[Path, list[str]]:
    """Local path of a URL's file, downloaded once, and notes for the report.

    The hash is the fragment `#sha256=...`, or the eight or more digits in front of the suffix as
    torchvision writes them (`swin_t-704ceda3.pth`). It is checked before the file is used.

    Raises:
        CheckpointError: no hash, a wrong one, or no connection.
    """
    address, _, fragment = url.partition("#")
    _check_secure(address, url)
    name = Path(urlsplit(address).path).name
    expected = _expected_hash(fragment, name)
    if expected is None and need_hash:
        raise CheckpointError(
            f"{url}: give the file's hash as {address}#sha256=<64 digits>, so that a changed or "
            "damaged file is noticed"
        )
    folder = cache or cache_folder()
    place = hashlib.sha256(address.encode()).hexdigest()[:12]
    target = folder / f"{place}-{name}"
    if not (target.is_file() and (expected is None or sha256_of(target).startswith(expected))):
        _download(address, target, expected)
    if expected:
        return target, []
    return target, [f"no hash is published for this file; its sha256 is {sha256_of(target)}"]


def _check_secure(address: str, url: str) -> None:
    """Raises CheckpointError: an address that anybody on the way may answer, or none."""
    try:
        parts = urlsplit(address)
        insecure = parts.scheme == "http" and parts.hostname not in LOOPBACK
    except ValueError as error:
        raise CheckpointError(f"{url} is no address ({_first(error)}); correct it") from error
    if insecure:
        raise CheckpointError(f"{url}: weights are fetched by https alone; write https:// instead")


def _expected_hash(fragment: str, name: str) -> str | None:
    if fragment.startswith("sha256="):
        digits = fragment.removeprefix("sha256=").lower()
        if re.fullmatch(r"[0-9a-f]{8,64}", digits) is None:
            raise CheckpointError(f"{name}: {digits!r} is no hexadecimal SHA-256")
        return digits
    found = re.search(r"-([0-9a-f]{8,64})\.\w+$", name)
    return found[1] if found else None


# Not torch.hub's downloader: it has no timeout, and keeps half a file where no hash is published.
def _download(address: str, target: Path, expected: str | None) -> None:
    """Fetch to a temporary name, check, rename: the cache never holds half a file."""
    try:
        with (
            urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer,
            tempfile.TemporaryDirectory() as scratch,
        ):
            _check_secure(answer.geturl(), f"{address} leads to {answer.geturl()}")
            fetched = Path(scratch) / "download"
            length = answer.headers.get("Content-Length")
            _copy_with_progress(answer, fetched, length and int(length), target.name)
            received = fetched.stat().st_size
            if length and received != int(length):
                raise CheckpointError(
                    f"{target.name}: the connection ended after {received} of {length} bytes; "
                    "try again"
                )
            with fetched.open("rb") as file:
                if file.read(100).lstrip()[:1] == b"<":
                    raise CheckpointError(
                        f"{address} is a page, no weights (of an error or a login?); take the "
                        "address of the file itself"
                    )
            actual = sha256_of(fetched)
            if not actual.startswith(expected or ""):
                raise CheckpointError(
                    f"{address} has sha256 {actual[:16]}..., expected {(expected or '')[:16]}...; "
                    "the file changed or the download broke; nothing was kept"
                )
            with atomic_write(target) as temporary:
                shutil.copyfile(fetched, temporary)
    # HTTPException: an answer that is cut or no HTTP; ValueError: one that counts in words.
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):  # it holds the connection
            error.close()
        raise CheckpointError(
            f"{address} cannot be downloaded ({_first(error)}); check address and connection, or "
            "fetch the file by hand and name it"
        ) from error


def _copy_with_progress(answer: BinaryIO, path: Path, length: int | None, name: str) -> None:
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    bar = Progress(*columns, transient=True, disable=not os.isatty(2))
    with bar as progress, path.open("wb") as file:
        task = progress.add_task(name, total=length)
        while chunk := answer.read(1 << 20):
            file.write(chunk)
            progress.advance(task, len(chunk))


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's contents."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _first(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
