"""A server on loopback that speaks the hub's HTTP interface as far as its Python clients use it:
what a repository is, which files it has, and the files.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

SHA = "0123456789abcdef0123456789abcdef01234567"
_API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?")
_FILE = re.compile(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class Hub(ThreadingHTTPServer):
    """`repos` maps "datasets/owner/name" or "models/owner/name" to its files {path: bytes}, or to a
    way of refusing: "gated", "missing", "moved to owner/name", "busy", "throttled".
    """

    def __init__(self, repos):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos, self.asked = repos, Counter()

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server_address[1]}", self.asked

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body):
        path = unquote(urlsplit(self.path).path)
        if match := _API.fullmatch(path):
            kind, repo, what, revision = match.groups()
        elif match := _FILE.fullmatch(path):
            kind, repo, revision, what = match[1] or "models", match[2], match[3], match[4]
        else:
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound"}, with_body)
        key = f"{kind}/{repo}"
        self.server.asked[key] += 1
        files = self.server.repos.get(key, "missing")
        if isinstance(files, str) and (refusal := self.refusal(files, key)):
            status, body, headers = refusal
            return self.send(status, body, headers, with_body)
        if isinstance(files, str):
            files = self.server.repos[f"{kind}/answers"]
        if revision not in (None, "main", SHA):
            return self.send(404, b"", {"X-Error-Code": "RevisionNotFound"}, with_body)
        if not path.startswith("/api/"):
            return self.file(files.get(what), with_body)
        if what == "tree":
            rows = [
                {"type": "file", "path": p, "size": len(d), "oid": hashlib.sha1(d).hexdigest()}
                for p, d in files.items()
            ]
            return self.send(200, json.dumps(rows).encode(), {}, with_body)
        about = {"id": repo, "sha": SHA, "siblings": [{"rfilename": p} for p in files]}
        return self.send(200, json.dumps(about).encode(), {}, with_body)

    def refusal(self, how, key):
        if how == "gated":
            return 403, b"", {"X-Error-Code": "GatedRepo"}
        if how == "missing":
            return 404, b"", {"X-Error-Code": "RepoNotFound"}
        if how.startswith("moved to "):
            old, new = key.partition("/")[2], how.removeprefix("moved to ")
            return 307, b"", {"Location": self.path.replace(old, new)}
        if how == "busy" and self.server.asked[key] <= 2:
            return 429, b"", {"Retry-After": "1"}
        if how == "throttled":
            return 429, b"", {"Retry-After": "3600"}
        return None

    def file(self, data, with_body):
        if data is None:
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound"}, with_body)
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": SHA}
        return self.send(200, data, headers, with_body)

    def send(self, status, body, headers, with_body):
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)
