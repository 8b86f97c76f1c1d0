"""One way to write, to fetch and to clean up: whole or not at all, and nobody else's."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
import time

import pytest

from obvlib.core import files
from obvlib.core.checks import RecordError
from obvlib.core.identity import identify
from obvlib.core.locations import join, shown
from obvlib.core.messages import one_line


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with pytest.raises(KeyError), files.replacing(path) as partial:
        partial.write_text("half")
        raise KeyError
    assert list(path.parent.iterdir()) == []
    with files.replacing(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_no_two_temporary_names_are_the_same():
    names = {files.partial_name("a.mp4") for _ in range(100)}
    assert len(names) == 100 and all(str(os.getpid()) in n and n.endswith(".tmp") for n in names)


def test_only_what_no_living_process_writes_is_left_over(tmp_path):
    dead = subprocess.run(
        [sys.executable, "-c", "from obvlib.core import files; print(files.partial_name('x'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    mine = files.partial_name("x")
    # the same process id on a machine whose name begins like ours
    far = mine.replace(files.machine_id(), files.machine_id() + "0")
    old = far.replace("-x.tmp", "-y.tmp")
    for name in (dead, mine, far, old):
        (tmp_path / name).write_text("part")
    (tmp_path / dead.replace("-x.tmp", "-dir.tmp")).mkdir()
    (tmp_path / dead.replace("-x.tmp", "-.tmpk8neblyn")).mkdir()  # as tempfile names them
    foreign = [".partial-notes", ".partial-1.tmp", f".partial-1@{files.machine_id()}-notes.tmp"]
    for name in foreign:
        (tmp_path / name).write_text("somebody's")
        os.utime(tmp_path / name, (0, 0))
    os.utime(tmp_path / old, (time.time() - 2 * files.FOREIGN_PARTIAL_S,) * 2)
    files.remove_leftovers(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {mine, far, *foreign}


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `data`; says of it what `headers` say; breaks off half way where `cut`."""

    data, headers_sent, cut, gets, pause_s = b"", {}, False, 0, 0.0

    def do_HEAD(self):
        self.send_response(200)
        for name, value in {"Content-Length": str(len(self.data)), **self.headers_sent}.items():
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self):
        type(self).gets += 1
        self.do_HEAD()
        half = len(self.data) // 2
        self.wfile.write(self.data[:half])
        self.wfile.flush()
        time.sleep(self.pause_s)
        if not self.cut:
            self.wfile.write(self.data[half:])

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    handler = type("Handler", (Server,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("before", "after", "num_gets"),
    [
        ({"ETag": '"1"'}, {"ETag": '"2"'}, 2),
        (
            {"Last-Modified": "Wed, 25 Nov 2026 10:00:00 GMT"},
            {"Last-Modified": "Wed, 25 Nov 2026 10:00:01 GMT"},
            2,
        ),
        ({}, {}, 3),  # a server that says nothing is asked for the file each time
    ],
)
def test_a_remote_file_that_changed_at_equal_size_is_fetched_again(
    web, tmp_path, before, after, num_gets
):
    handler, url = web
    handler.data, handler.headers_sent = b"first", before
    for _ in range(2):
        assert open(files.local_copy(f"{url}/a.mp4", tmp_path), "rb").read() == b"first"
    handler.data, handler.headers_sent = b"other", after
    assert open(files.local_copy(f"{url}/a.mp4", tmp_path), "rb").read() == b"other"
    assert handler.gets == num_gets


def test_a_broken_connection_leaves_nothing(web, tmp_path):
    handler, url = web
    handler.data, handler.cut = b"x" * 100_000, True
    with pytest.raises(Exception, match="bytes|payload|Payload|closed"):
        files.local_copy(f"{url}/a.mp4", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_slow_file_may_take_its_time_and_a_silent_one_may_not(web, tmp_path, monkeypatch):
    handler, url = web
    monkeypatch.setattr("obvlib.core.locations.IDLE_S", 0.5)
    handler.data, handler.pause_s = b"x" * 1000, 0.2
    assert files.local_copy(f"{url}/slow.mp4", tmp_path)
    handler.pause_s = 3.0
    with pytest.raises(TimeoutError):
        files.local_copy(f"{url}/silent.mp4", tmp_path)


@pytest.mark.parametrize("name", ["../a.mp4", "/etc/passwd", "x/../../a.mp4", ".hidden", "", "a/"])
@pytest.mark.parametrize("where", ["clips", "https://host/clips"])
def test_a_name_never_leaves_its_directory(name, where):
    with pytest.raises(RecordError, match="cannot be used in a file name"):
        files.local_clip(where, name)


def test_secrets_are_not_shown():
    told = "GET 'https://me:pw@host:80/a?sig=abc' failed; s3://key:word@bucket/x, http://h/b?t=1)"
    assert shown(told) == "GET 'https://host:80/a' failed; s3://bucket/x, http://h/b)"
    assert join("https://host/dir?token=1", "a.mp4") == "https://host/dir/a.mp4?token=1"


@pytest.mark.parametrize(
    ("told", "seen"),
    [
        ("nothing at 'https://u:p'w@h/a?tok=SE'C', look", "nothing at 'https://h/a', look"),
        ("s3://K:SEC/RET@bucket/a.mp4", "s3://bucket/a.mp4"),
        ("http://h/v.mp4#access_token=SEC.", "http://h/v.mp4."),
        ('Invalid bucket name "KEY:SEC@bucket"', 'Invalid bucket name "bucket"'),
        ("simplecache::https://u:SEC@[::1]:80/x", "simplecache::https://[::1]:80/x"),
        ("http://u:SEC@h/1 and ftp://v@h/2", "http://h/1 and ftp://h/2"),
        ("https://h/a;token=SEC/b?c", "https://h/a;token=…"),
        ("GET /a?X-Amz-Signature=SEC&X-Amz-Date=1", "GET /a?X-Amz-Signature=…&X-Amz-Date=1"),
        ("{'Authorization': 'Bearer SEC', 'X-Api-Key': 'SEC'}", "{'Authorization': 'Bearer …',"
         " 'X-Api-Key': '…'}"),
        ("key hf_abcdefghijklmnopqrstuvwxyz0 or AKIAABCDEFGHIJKLMNOP", "key … or …"),
        # what only looks like it
        ("https://h:8080/a@b.mp4, https://h/@user/v.mp4", "https://h:8080/a@b.mp4, https://h/@user/v.mp4"),
        ("s3://bucket/lecture#1.mp4: max_tokens=5", "s3://bucket/lecture#1.mp4: max_tokens=5"),
    ],
)  # fmt: skip
def test_secrets_of_every_form_are_not_shown(told, seen):
    assert shown(told) == seen


def test_a_message_is_one_line_that_prints():
    assert one_line("a\n b\x1b[2J \ud800 é") == "a b\\x1b[2J \\ud800 é"
    assert one_line("\u202eabc\u200b\u2066") == "\\u202eabc\\u200b\\u2066"
    wide = one_line("始" * 500 + " end")
    assert 95 <= len(wide) <= 125 and wide.endswith("始 end")
    long = one_line("start " + "x" * 9000 + " end")
    assert len(long) == 200 and long.startswith("start ") and long.endswith(" end")


def test_what_is_not_there_has_no_identity(tmp_path):
    assert identify(str(tmp_path / "nothing")) is None
