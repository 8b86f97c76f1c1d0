"""Sources and clips in other places: an S3 server and a web server of this machine, with bounded
memory and a bounded cache.
"""

from __future__ import annotations

import functools
import http.server
import json
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
import video_samples as samples

from obvlib import media, slicing
from obvlib.core.files import local_copy
from obvlib.core.frame_policy import FramePolicy
from obvlib.core.records import Clip

CLIPS = [
    Clip(video_id="one", start_s=1, end_s=4),
    Clip(video_id="one", start_s=2.5, end_s=9),
    Clip(video_id="gone", start_s=0, end_s=1),
]


@pytest.fixture(scope="module")
def bucket():
    """An empty bucket on a moto server, and the credentials that it does not check, in the
    environment.
    """
    import moto.server as server_module

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        fs = s3fs.S3FileSystem()
        fs.mkdir("videos")
        yield fs
    server.stop()


@pytest.fixture
def video(tmp_path):
    return samples.make(tmp_path / "one.mp4", options={"g": "50", "sc_threshold": "0"})


@pytest.fixture(autouse=True)
def data_root(tmp_path, monkeypatch):
    monkeypatch.setenv("OBV_DATA", str(tmp_path / "data"))


@pytest.mark.parametrize("num_workers", [1, 2])
def test_from_s3_to_s3(bucket, video, tmp_path, num_workers):
    bucket.put_file(str(video), "videos/raw/one.mp4")
    target = f"s3://videos/clips{num_workers}"
    report = slicing.slice_dataset(
        CLIPS, [], "s3://videos/raw", target, num_workers=num_workers, show_progress=False
    )
    assert (report["clips"]["done"], report["clips"]["missing"]) == (2, 1), report["failures"]
    with warnings.catch_warnings(action="error", category=UserWarning):  # no clean copy is needed
        frames, _ = media.frames_at(f"{target}/one_2500_9000.mp4", [0.0, 5.0])
    assert samples.numbers(frames) == [62, 187]
    assert json.loads(bucket.cat_file(f"{target}/coverage_slice.json")) == report
    again = slicing.slice_dataset(CLIPS, [], "s3://videos/raw", target, show_progress=False)
    assert (again["clips"]["done"], again["clips"]["skipped"]) == (0, 2)
    bucket.rm_file(f"{target}/one_1000_4000.mp4")
    assert (
        slicing.slice_dataset(CLIPS, [], "s3://videos/raw", target, show_progress=False)["clips"][
            "done"
        ]
        == 1
    )
    cache = tmp_path / "data" / "cache" / "videos"
    assert len(list(cache.iterdir())) == 1  # one source, fetched once; nothing left of the clips


def test_prepare_from_s3(bucket, video, tmp_path):
    bucket.put_file(str(video), "videos/raw/one.mp4")
    slicing.prepare_dataset(
        CLIPS,
        [],
        "s3://videos/raw",
        tmp_path / "out",
        policy=FramePolicy.mini(),
        show_progress=False,
    )
    assert (
        samples.numbers(
            media.clip_frames(tmp_path / "out" / "one_1000_4000.mp4", FramePolicy.mini())[0]
        )[0]
        == 25
    )


def test_a_changed_source_is_fetched_anew_and_the_cache_stays_small(bucket, video, tmp_path):
    size = video.stat().st_size
    for name in "abc":
        bucket.put_file(str(video), f"videos/raw/{name}.mp4")
    fetch = functools.partial(local_copy, cache_dir=tmp_path / "cache", max_bytes=size * 2 + 100)
    first = fetch("s3://videos/raw/a.mp4")
    assert fetch("s3://videos/raw/a.mp4") == first
    for name in "bc":
        fetch(f"s3://videos/raw/{name}.mp4")
    assert len(list((tmp_path / "cache").iterdir())) == 2
    other = samples.make(tmp_path / "other.mp4", num_frames=30)
    bucket.put_file(str(other), "videos/raw/c.mp4")
    assert media.probe(fetch("s3://videos/raw/c.mp4")).duration_s == 1.2


def test_a_remote_file_that_is_not_there(bucket):
    with pytest.raises(media.MediaError) as caught:
        media.probe("s3://videos/raw/never.mp4")
    assert caught.value.kind == "missing"


class RangeServer(http.server.SimpleHTTPRequestHandler):
    """Serves files by byte range and counts what it sent."""

    sent = 0

    def do_GET(self):
        data = open(self.translate_path(self.path), "rb").read()
        first, last = 0, len(data) - 1
        if wanted := self.headers.get("Range"):
            low, high = wanted.removeprefix("bytes=").split("-")
            first, last = int(low), min(int(high or last), last)
        self.send_response(206 if wanted else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        self.wfile.write(data[first : last + 1])
        RangeServer.sent += last - first + 1

    def log_message(self, *_):
        pass


@pytest.fixture
def web(tmp_path):
    (tmp_path / "web").mkdir()
    handler = functools.partial(RangeServer, directory=str(tmp_path / "web"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path / "web", f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_from_the_web(web, video, tmp_path):
    directory, address = web
    (directory / "one.mp4").write_bytes(video.read_bytes())
    report = slicing.slice_dataset(CLIPS, [], address, tmp_path / "out", show_progress=False)
    assert (report["clips"]["done"], report["clips"]["missing"]) == (2, 1)


def test_reading_a_few_frames_of_a_long_file_fetches_a_part_of_it(web, tmp_path):
    directory, address = web
    noise = np.random.default_rng(0).integers(0, 256, (20, 120, 320, 3), dtype=np.uint8)
    numbered = (
        np.concatenate([f[:120], noise[i % 20]])
        for i, f in enumerate(samples.numbered_frames(400, 240, 320))
    )
    encoding = media.Encoding(crf=10, preset="ultrafast", options={"g": "20"})
    media.write_video(directory / "long.mp4", numbered, 10, encoding=encoding)
    size = (directory / "long.mp4").stat().st_size
    RangeServer.sent = 0
    frames, _ = media.frames_at(f"{address}/long.mp4", [1.0, 30.0])
    assert samples.numbers(frames) == [10, 300 % 256]
    assert size > 10_000_000 and RangeServer.sent < size / 3


MEMORY = """
import resource, sys
from obvlib import media
from obvlib.core.files import local_copy
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
path = local_copy(sys.argv[1], sys.argv[2])
media.frames_at(sys.argv[1], [0.5, 50.0])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base)
"""


def test_memory_does_not_grow_with_the_file(bucket, tmp_path):
    """A file of 150 MB, most of it padding at the end, is fetched and read within 100 MB."""
    path = samples.make(tmp_path / "big.mp4", num_frames=1300, with_sound=False)
    with open(path, "ab") as file:
        file.write((150 << 20).to_bytes(4, "big") + b"free")
        file.truncate(path.stat().st_size + (150 << 20))
    bucket.put_file(str(path), "videos/raw/big.mp4")
    out = subprocess.check_output(
        [sys.executable, "-c", MEMORY, "s3://videos/raw/big.mp4", tmp_path / "cache"], text=True
    )
    assert int(out) < 100_000  # KiB
