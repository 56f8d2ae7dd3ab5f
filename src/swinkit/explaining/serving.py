"""The server of `swinkit explore`: a page for pictures, and pages of explanations, for one person.

Python's own server is enough for that, and needs nothing to be installed. It listens on loopback
alone. Other sites that the person's browser shows cannot use it: a request must name a local host,
one that carries an origin must come from the same place, and no answer allows another.
"""

import contextlib
import json
import socket
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

from swinkit.errors import ConfigError
from swinkit.explaining.desk import Desk

MOST_BYTES = 32 * 2**20  # of a picture's file
PATIENCE_SECONDS = 30
HTML, JSON, TEXT = "text/html", "application/json", "text/plain"
# Nothing is loaded from elsewhere; pages carry their own scripts, styles and pictures.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; connect-src 'self'; frame-src 'self'; frame-ancestors 'self'; "
    "form-action 'none'; base-uri 'none'"
)


class Server(ThreadingHTTPServer):
    """The server on its address; `url` is where it listens."""

    daemon_threads = True

    def __init__(self, host: str, port: int, desk: Desk) -> None:
        """Listen on a loopback address; port 0 takes a free one.

        Raises:
            ConfigError: an address of the network, or one that is taken.
        """
        address = loopback(host)
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.desk = desk
        try:
            super().__init__((address, port), Handler)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}, port {port}: {error.strerror or error}; "
                "choose another --port, or 0 for a free one"
            ) from error
        shown = f"[{address}]" if ":" in address else address
        self.url = f"http://{shown}:{self.server_port}/"

    def is_local(self, host: str) -> bool:
        """Whether a Host header names this server: a site whose name leads here does not."""
        names = ("localhost", "127.0.0.1", "[::1]", urlsplit(self.url).netloc.rpartition(":")[0])
        return host in {f"{name}:{self.server_port}" for name in names}


def loopback(host: str) -> str:
    """The address of a name on this machine. Raises ConfigError where others could reach it."""
    address = "127.0.0.1" if host == "localhost" else host
    with contextlib.suppress(ValueError):
        if ip_address(address).is_loopback:
            return address
    raise ConfigError(
        f"--host is {host}, which others may reach; take 127.0.0.1, and a tunnel such as ssh -L "
        "from elsewhere"
    )


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    timeout = PATIENCE_SECONDS
    server_version, sys_version = "swinkit", ""

    def do_GET(self) -> None:
        """`/`, `/pages`, and `/pages/KEY` where that is done."""
        if not self._is_welcome():
            return
        path = urlsplit(self.path).path
        if path == "/":
            self._answer(HTTPStatus.OK, HTML, index_page())
        elif path == "/pages":
            told = [
                {"key": job.key, "name": job.name, "state": job.state, "line": job.line}
                for job in self.server.desk.jobs()
            ]
            self._answer(HTTPStatus.OK, JSON, json.dumps(told).encode())
        else:
            job = self.server.desk.get(path.removeprefix("/pages/"))
            if job is None or job.state != "done":
                self._refuse(HTTPStatus.NOT_FOUND, "no such page; only the last are kept")
            else:
                self._answer(HTTPStatus.OK, HTML, job.page)

    def do_POST(self) -> None:
        """`/pages?name=NAME` with the bytes of a picture."""
        if not self._is_welcome():
            return
        parts = urlsplit(self.path)
        length = self.headers.get("Content-Length", "")
        if parts.path != "/pages":
            self._refuse(HTTPStatus.NOT_FOUND, "no such address")
        elif not (length.isascii() and length.isdecimal()):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "a picture needs a Content-Length")
        elif len(length) > 12 or int(length) > MOST_BYTES:
            self._refuse(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the file is larger than {MOST_BYTES // 2**20} MB; save it smaller",
            )
        else:
            name = parse_qs(parts.query).get("name", [""])[0]
            self._receive(name, int(length))

    def _receive(self, name: str, length: int) -> None:
        desk = self.server.desk
        job = desk.reserve(name)
        if job is None:
            self._refuse(
                HTTPStatus.SERVICE_UNAVAILABLE, "several pictures are waiting; try again then"
            )
            return
        content = b""
        with contextlib.suppress(OSError):  # a sender that is gone or too slow
            content = self.rfile.read(length)
        if len(content) < length:
            desk.give_up(job)
            self.close_connection = True
            return
        desk.hand_in(job, content)
        self._answer(HTTPStatus.ACCEPTED, JSON, json.dumps({"key": job.key}).encode())

    def _is_welcome(self) -> bool:
        """Whether the request names a local host and comes from no other site; else refuses it."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        welcome = self.server.is_local(host) and origin in (None, f"http://{host}")
        if not welcome:
            self._refuse(HTTPStatus.FORBIDDEN, f"open {self.server.url} on this machine")
        return welcome

    def _refuse(self, status: HTTPStatus, line: str) -> None:
        self._answer(status, TEXT, line.encode())

    def _answer(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", POLICY)
        for name, value in (
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ):
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # a reader that is gone
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the terminal shows pictures, not requests."""


def index_page() -> bytes:
    """The page for pictures, with the style of the explanations."""
    here = files("swinkit.explaining")
    page, style = (
        here.joinpath(name).read_text(encoding="utf-8") for name in ("explore.html", "page.css")
    )
    return page.replace("/*STYLE*/", style).replace("/*MOST*/", str(MOST_BYTES)).encode()
