"""A small video server for this machine alone: range requests, so that a browser streams what it
shows and no video is read whole into the kernel.

It listens on the loopback address, answers only addresses that begin with its random token, and
serves only video and image files under the roots that it was given. A link that leads out of a root
leads nowhere.
"""

from __future__ import annotations

import mimetypes
import os
import re
import secrets
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote, urlsplit

from obvlib.core import data_root, manifests_dir

CHUNK_BYTES = 1 << 18
SERVED = {".mp4", ".m4v", ".webm", ".mov", ".mkv", ".png", ".jpg", ".jpeg"}
LOCAL_HOSTS = {"127.0.0.1", "localhost", "[::1]"}
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def own_roots() -> list[Path]:
    """Return the folders whose videos may go to a page: the data root and the shipped videos."""
    return [data_root().resolve(), (manifests_dir() / "mini" / "videos").resolve()]


class VideoServer:
    """A server of the video and image files under `roots`, until `close`."""

    def __init__(self, roots: Sequence[str | os.PathLike]) -> None:
        self.roots = [Path(root).resolve() for root in roots]
        self.token = secrets.token_urlsafe(24)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.token, self._server.roots = self.token, self.roots
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, path: str | os.PathLike) -> str:
        """Return a file's address, "" for a file that is not served."""
        real = Path(path).resolve()
        for number, root in enumerate(self.roots):
            if is_served(real, root):
                name = quote(real.relative_to(root).as_posix())
                return f"http://127.0.0.1:{self.port}/{self.token}/{number}/{name}"
        return ""

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    token: str
    roots: list[Path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, *_: object) -> None:
        """Say nothing: addresses hold the token."""

    def _answer(self, *, with_body: bool) -> None:
        try:
            path = self._asked_file()
        except (OSError, ValueError, RuntimeError):  # a name too long, a loop of links, odd digits
            path = None
        if path is None:
            return self._refuse(HTTPStatus.NOT_FOUND)
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                span = _span(self.headers.get("Range", ""), size)
                if span is None:
                    return self._refuse(
                        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"bytes */{size}"
                    )
                self._send_headers(path, span, size)
                if with_body:
                    self._send_body(file, *span)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the viewer went on to another place
        except OSError:
            self._refuse(HTTPStatus.NOT_FOUND)

    def _asked_file(self) -> Path | None:
        """Return the file that the address names, if this server serves it."""
        host = self.headers.get("Host", "").rpartition(":")[0]
        parts = unquote(urlsplit(self.path).path).split("/", 3)
        if host not in LOCAL_HOSTS or len(parts) != 4:
            return None
        _, token, number, name = parts
        if not secrets.compare_digest(token.encode(), self.server.token.encode()):
            return None
        if not number.isdecimal() or int(number) >= len(self.server.roots) or "\0" in name:
            return None
        root = self.server.roots[int(number)]
        path = (root / name).resolve()
        return path if is_served(path, root) else None

    def _send_headers(self, path: Path, span: tuple[int, int], size: int) -> None:
        first, after = span
        is_part = "Range" in self.headers
        self.send_response(HTTPStatus.PARTIAL_CONTENT if is_part else HTTPStatus.OK)
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(after - first))
        self.send_header("Accept-Ranges", "bytes")
        if is_part:
            self.send_header("Content-Range", f"bytes {first}-{after - 1}/{size}")
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "cross-origin")
        self.end_headers()

    def _send_body(self, file: BinaryIO, first: int, after: int) -> None:
        file.seek(first)
        while first < after and (piece := file.read(min(CHUNK_BYTES, after - first))):
            self.wfile.write(piece)
            first += len(piece)

    def _refuse(self, status: HTTPStatus, content_range: str = "") -> None:
        self.send_response(status)
        if content_range:
            self.send_header("Content-Range", content_range)
        self.send_header("Content-Length", "0")
        self.end_headers()


def is_served(path: Path, root: Path) -> bool:
    """Return whether `path`, its links followed, is a video or image file inside `root`."""
    return path.is_relative_to(root) and path.suffix.lower() in SERVED and path.is_file()


def _span(text: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last of a range header: the whole file without
    one, None for a range that the file does not have.
    """
    if not text:
        return 0, size
    found = _RANGE.fullmatch(text.strip())
    if not found or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else None
    after = min(int(last) + 1, size) if last else size
    return (int(first), after) if int(first) < after else None
