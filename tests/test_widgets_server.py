"""The video server: ranges of the files it was given, nothing else, to this machine alone."""

from __future__ import annotations

import os
import socket
import urllib.error
import urllib.request

import pytest

from obvlib.widgets.server import VideoServer


@pytest.fixture
def server(tmp_path):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "sub/clip.mp4").write_bytes(bytes(range(256)) * 8)
    (root / "labels.jsonl").write_text("secret")
    (tmp_path / "outside.mp4").write_bytes(b"secret")
    (root / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    server = VideoServer([root])
    yield server, root
    server.close()


def get(url: str, **headers) -> tuple[int, bytes, dict]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, b"", dict(error.headers)


WHOLE = bytes(range(256)) * 8


@pytest.mark.parametrize(
    ("asked", "status", "first", "after"),
    [
        ("", 200, 0, 2048),
        ("bytes=0-9", 206, 0, 10),
        ("bytes=2000-", 206, 2000, 2048),
        ("bytes=-48", 206, 2000, 2048),
        ("bytes=0-99999", 206, 0, 2048),
        ("bytes=2048-", 416, 0, 0),
        ("bytes=9-3", 416, 0, 0),
        ("bytes=a-b", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
    ],
)
def test_the_server_answers_ranges(server, asked, status, first, after):
    videos, root = server
    headers = {"Range": asked} if asked else {}
    found, body, fields = get(videos.url(root / "sub/clip.mp4"), **headers)
    assert (found, body) == (status, WHOLE[first:after])
    if status == 206:
        assert fields["Content-Range"] == f"bytes {first}-{after - 1}/2048"


@pytest.mark.parametrize(
    "path",
    [
        "/0/sub/clip.mp4", "/TOKEN/1/sub/clip.mp4", "/TOKEN/0/../outside.mp4",
        "/TOKEN/0/labels.jsonl",
        "/TOKEN/0/%2e%2e/outside.mp4", "/TOKEN/0//etc/passwd", "/TOKEN/0/link.mp4", "/TOKEN/0/sub",
        "/TOKEN/0/", "/TOKEN/-1/sub/clip.mp4", "/TOKEN/0/%00.mp4", "/WRONG/0/sub/clip.mp4", "/",
    ],
)  # fmt: skip
def test_the_server_serves_nothing_else(server, path):
    videos, _ = server
    url = f"http://127.0.0.1:{videos.port}{path.replace('TOKEN', videos.token)}"
    assert get(url)[:2] == (404, b"")


def test_files_outside_the_roots_have_no_address(server, tmp_path):
    videos, root = server
    for path in (
        tmp_path / "outside.mp4",
        root / "link.mp4",
        root / "labels.jsonl",
        root / "no.mp4",
    ):
        assert videos.url(path) == ""


def test_another_site_cannot_reach_the_server_by_its_own_name(server):
    videos, root = server
    assert get(videos.url(root / "sub/clip.mp4"), Host=f"evil.example:{videos.port}")[0] == 404


def test_the_server_listens_on_this_machine_alone(server):
    videos, _ = server
    assert videos._server.server_address[0] == "127.0.0.1"
    with socket.create_connection(("127.0.0.1", videos.port), timeout=5):
        pass


def raw(port: int, request: bytes) -> bytes:
    """The answer to bytes that no client would send."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        line.sendall(request)
        line.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := line.recv(65536):
            answer += piece
    return answer


HOST = b"Host: 127.0.0.1:1\r\n"


@pytest.mark.parametrize(
    "path",
    [
        "/TOKEN/0/..%2foutside.mp4", "/TOKEN/0/..%5coutside.mp4", "/TOKEN/0/%252e%252e/outside.mp4",
        "/TOKEN/0/sub/../../outside.mp4", "/TOKEN/0/sub/%2e%2e%2f%2e%2e%2foutside.mp4",
        "/TOKEN/0/" + "a" * 5000 + ".mp4", "/TOKEN/" + "1" * 5000 + "/sub/clip.mp4",
        "/TOKEN/0/loop.mp4", "/TOKEN/0/pipe.mp4", "/TOKEN/0/folder.mp4",
        "/TOKEN/0/into/outside.mp4",
        "/TOKEN/0/%ff%fe.mp4", "/TOKEN/0/sub/clip.mp4%00.png",
        "/TOKEN", "http://evil.example/TOKEN/0/../outside.mp4",
        "/TOKEN/\u0661/sub/clip.mp4", "*", "", "/%54OKEN/0/sub/clip.mp4", "/tOKEN/0/sub/clip.mp4",
    ],
)  # fmt: skip
def test_an_adversary_s_address_leads_nowhere(server, path, tmp_path, capfd):
    videos, root = server
    (root / "loop.mp4").symlink_to(root / "loop.mp4")
    (root / "folder.mp4").mkdir()
    (root / "into").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.mp4")
    asked = path.replace("TOKEN", videos.token).encode()
    answer = raw(videos.port, b"GET " + asked + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    status = answer.split(b" ", 2)[1] if answer else b"none"
    assert (
        status in (b"404", b"400", b"none")
        and b"secret" not in answer
        and b"\x00\x01" not in answer
    )
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "host", [b"", b"Host: evil.example\r\n", b"Host: 127.0.0.1.evil.example:80\r\n", b"Host:\r\n"]
)
def test_a_name_that_is_not_this_machine_s_gets_nothing(server, host):
    videos, _ = server
    path = f"/{videos.token}/0/sub/clip.mp4".encode()
    answer = raw(videos.port, b"GET " + path + b" HTTP/1.1\r\n" + host + b"\r\n")
    assert answer.split(b" ", 2)[1] == b"404"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_only_reading_is_answered(server, method):
    videos, root = server
    path = f"/{videos.token}/0/sub/clip.mp4".encode()
    answer = raw(videos.port, method.encode() + b" " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    assert answer.split(b" ", 2)[1] == b"501" and WHOLE[:8] not in answer


@pytest.mark.parametrize("asked", ["bytes=" + "9" * 5000 + "-", "bytes=0-1,4-5", "lines=1-2"])
def test_an_odd_range_is_refused_and_the_server_lives(server, asked, capfd):
    videos, root = server
    assert get(videos.url(root / "sub/clip.mp4"), Range=asked)[0] == 416
    assert get(videos.url(root / "sub/clip.mp4"))[0] == 200
    assert "Traceback" not in capfd.readouterr().err


def test_no_page_of_another_site_may_read_what_is_served(server):
    videos, root = server
    _, _, fields = get(videos.url(root / "sub/clip.mp4"), Origin="https://evil.example")
    assert not any(name.lower().startswith("access-control-") for name in fields)
    assert "cookie" not in " ".join(fields).lower() and "Server" in fields
