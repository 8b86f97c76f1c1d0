"""Source videos from real servers on loopback: yt-dlp itself, failures by class, resumed files."""

import hashlib
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from obvlib import media, mini
from obvlib.cli import app
from obvlib.core import Clip
from obvlib.core.records import write_jsonl
from obvlib.engine import Ledger, run_stage
from obvlib.manifests import download, failures, physionet

LECTURE = (mini.videos_dir() / "mini01.mp4").read_bytes()
OTHER = (mini.videos_dir() / "mini20.mp4").read_bytes()
PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"
TYPES = {b"<!DOC": "text/html", b"#EXTM": "application/vnd.apple.mpegurl"}  # by the first bytes


class Site(BaseHTTPRequestHandler):
    """Serves by path: good, cut (half of it, once), busy (429 once), page, gone, secret."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str]]

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        kind = self.path.strip("/").split(".")[0].split("-")[0]
        first = kind not in [k for k, _ in self.server.seen]
        if self.command == "GET":
            self.server.seen.append((kind, self.headers.get("Range") or ""))
        if kind == "gone":
            return self.send_error(410)
        if kind == "secret" and self.headers.get("Authorization") is None:
            return self.send_error(401)
        if kind == "busy" and first:
            return self.send_error(429)
        body = self.server.files.get(self.path.strip("/"), PAGE if kind == "page" else LECTURE)
        match = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(match.group(1)) if match else 0
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Type", TYPES.get(body[:5], self.server.type))
        self.send_header("ETag", f'"{hashlib.md5(body).hexdigest()}"')
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if self.command == "HEAD":
            return None
        if kind == "cut" and [k for k, _ in self.server.seen].count("cut") <= self.server.num_cuts:
            self.wfile.write(body[start : (start + len(body)) // 2])
            self.close_connection = True
            return self.connection.close()
        return self.wfile.write(body[start:])

    def log_message(self, *_):
        pass


@pytest.fixture
def site():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.seen, server.files, server.num_cuts = [], {}, 1
    server.type = "video/mp4"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()


def fetch(site, out, *names, **settings):
    sources = [
        download.SourceVideo(video_id=name, url=f"{site.url}/{name}.mp4", sections=((0.0, 4.0),))
        for name in names
    ]
    stage = download.DownloadStage(output_dir=str(out), sleep_s=0.0, timeout_s=5.0, **settings)
    with Ledger(out / "ledger.sqlite") as ledger:
        run = run_stage(sources, stage, ledger, show_progress=False)
        rows = {row["item_id"]: row for row in ledger.rows("download", run.params)}
    return run, rows, download.reachable(sources, rows.values())


def test_a_video_is_fetched_once_and_whole(site, tmp_path):
    run, _, report = fetch(site, tmp_path, "good")
    assert (tmp_path / "good.mp4").read_bytes() == LECTURE
    assert (run.num_done, report["num_clips_downloaded"], report["failures"]) == (1, 1, {})
    asked = len(site.seen)
    again, _, _ = fetch(site, tmp_path, "good")
    assert again.num_skipped == 1 and len(site.seen) == asked
    assert sorted(path.name for path in tmp_path.rglob("*.mp4")) == ["good.mp4"]


def test_a_video_of_an_address_without_an_ending_is_one_that_slicing_finds(site, tmp_path):
    site.type = "application/octet-stream"
    source = download.SourceVideo(video_id="v", url=f"{site.url}/good?id=3")
    stage = download.DownloadStage(output_dir=str(tmp_path), sleep_s=0.0, timeout_s=5.0)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        (made,) = run_stage([source], stage, ledger, show_progress=False).kept
    assert made.file_name == "v.mp4" and (tmp_path / "v.mp4").read_bytes() == LECTURE


def test_a_file_that_is_gone_or_another_is_fetched_again(site, tmp_path):
    fetch(site, tmp_path, "good")
    (tmp_path / "good.mp4").unlink()
    assert fetch(site, tmp_path, "good")[0].num_done == 1
    (tmp_path / "good.mp4").write_bytes(b"x" * len(LECTURE))
    assert fetch(site, tmp_path, "good")[0].num_done == 1
    assert (tmp_path / "good.mp4").read_bytes() == LECTURE


def test_each_failure_has_its_class_and_the_rest_goes_on(site, tmp_path, monkeypatch):
    monkeypatch.setattr("obvlib.engine.outcomes.RETRY_WAIT_S", 0.0)
    run, rows, report = fetch(site, tmp_path, "gone", "page", "secret", "good")
    assert (run.num_done, run.num_failed) == (1, 3)
    assert {
        name: row["reason"].partition(":")[0] for name, row in rows.items() if row["reason"]
    } == {"gone": "removed", "page": "format", "secret": "login"}
    assert report["failures"] == {"removed": 1, "format": 1, "login": 1}
    assert "1 of 4 videos are here" in download.render(report)
    assert not (tmp_path / "page.mp4").exists() and not (tmp_path / "page.html").exists()


def test_a_cut_connection_and_a_busy_site_are_tried_again(site, tmp_path, monkeypatch):
    monkeypatch.setattr("obvlib.engine.outcomes.RETRY_WAIT_S", 0.0)
    run, _, _ = fetch(site, tmp_path, "cut", "busy")
    assert run.num_done == 2
    assert (tmp_path / "cut.mp4").read_bytes() == (tmp_path / "busy.mp4").read_bytes() == LECTURE


def test_bytes_of_another_file_are_never_continued(site, tmp_path, monkeypatch):
    monkeypatch.setattr("obvlib.engine.outcomes.RETRY_WAIT_S", 0.0)
    site.num_cuts = 99
    assert fetch(site, tmp_path, "cut")[0].num_failed == 1
    assert [path.suffix for path in tmp_path.rglob("video.*")] == [".part"]
    site.num_cuts, site.files["cut.mp4"] = 0, OTHER
    assert fetch(site, tmp_path, "cut")[0].num_done == 1
    assert (tmp_path / "cut.mp4").read_bytes() == OTHER
    assert not list((tmp_path / download.UNFINISHED).iterdir())


def test_a_file_that_changed_at_its_address_is_fetched_again(site, tmp_path):
    fetch(site, tmp_path, "good")
    changed = LECTURE[:-8] + b"01234567"
    site.files["good.mp4"] = changed
    assert fetch(site, tmp_path, "good")[0].num_done == 1
    assert (tmp_path / "good.mp4").read_bytes() == changed
    site.server_close()  # a server that is away is no reason to fetch again
    site.shutdown()
    assert fetch(site, tmp_path, "good")[0].num_skipped == 1


@pytest.mark.parametrize(
    "body",
    [
        "#EXTM3U\n#EXTINF:5,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nlecture.mp4\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nlecture.mp4\n",  # has no end
        "ffconcat version 1.0\nfile /etc/hostname\n",
    ],
)
@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4"])
def test_a_playlist_is_not_a_source(site, tmp_path, name, body):
    site.files[name] = body.encode()
    source = download.SourceVideo(video_id="list", url=f"{site.url}/{name}")
    assert refused(source, tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "/etc/hostname", "data:video/mp4,x", "-U"])
def test_only_web_addresses_are_opened(tmp_path, url):
    reason = refused(download.SourceVideo(video_id="a", url=url), tmp_path)
    assert "not one of http or https" in reason


def refused(source, out):
    """Return why a source was not fetched, and check that nothing of it stays."""
    stage = download.DownloadStage(output_dir=str(out), sleep_s=0.0, timeout_s=5.0)
    with Ledger(out / "ledger.sqlite") as ledger:
        run = run_stage([source], stage, ledger, show_progress=False)
        (row,) = ledger.rows("download", run.params)
    left = [p for p in out.rglob("*") if p.is_file() and not p.name.startswith("ledger.sqlite")]
    assert row["status"] == "failed" and left == []
    return row["reason"]


def test_a_folder_may_have_any_name_that_is_not_a_variable(site, tmp_path):
    odd = tmp_path / "50 % of %(id)s"
    odd.mkdir()
    assert fetch(site, odd, "good")[0].num_done == 1 and (odd / "good.mp4").is_file()
    assert os.listdir(tmp_path) == [odd.name]
    variable = tmp_path / "$HOME"
    variable.mkdir()
    _, rows, _ = fetch(site, variable, "good")
    assert "names an environment variable" in rows["good"]["reason"]


def test_a_place_that_is_no_local_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for place, said in (("s3://bucket/x", "local directory"), (tmp_path / "file/x", "below one")):
        stage = download.DownloadStage(output_dir=str(place))
        with pytest.raises(ValueError, match=said):
            download.fetch_all([download.SourceVideo(video_id="a", url="")], stage)


@pytest.mark.parametrize("name", ["good.webm", "good.en.vtt", "ledger.sqlite"])
def test_what_was_not_downloaded_stays_as_it_is(site, tmp_path, name):
    (tmp_path / name).write_text("mine")
    source = download.SourceVideo(video_id="good", url=f"{site.url}/good.mp4")
    stage = download.DownloadStage(output_dir=str(tmp_path), captions=True)
    if name == "ledger.sqlite":
        with pytest.raises(ValueError, match="ledger.sqlite was not made by `obv download`"):
            download.fetch_all([source], stage)
    else:
        assert download.fetch_all([source], stage).foreign == [source]
    assert (tmp_path / name).read_text() == "mine" and not (tmp_path / "good.mp4").exists()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("[youtube] x: Private video. Sign in if you've been granted access", "private"),
        ("x: Video unavailable. This video has been removed by the uploader", "removed"),
        ("account associated with this video has been terminated", "removed"),
        ("The uploader has not made this video available in your country", "region"),
        ("Sign in to confirm your age. This video may be inappropriate for some users", "age"),
        ("Sign in to confirm you're not a bot", "login"),
        ("Join this channel to get access to members-only content", "login"),
        ("No supported JavaScript runtime could be found", "javascript"),
        ("Requested format is not available", "format"),
        ("Video unavailable", "unavailable"),
        ("HTTP Error 429: Too Many Requests", "rate"),
        ("Unable to download webpage: <urlopen error timed out>", "network"),
        ("Got 100 bytes, expected 200", "network"),
        ("something else", "other"),
    ],
)
def test_what_sites_say_is_classed(said, kind):
    assert failures.classify(said) == kind


def test_sources_need_disk_and_are_refused_before_they_start(tmp_path, monkeypatch):
    clips = [
        Clip(video_id="a", start_s=0.0, end_s=3600.0),
        Clip(video_id="a", start_s=10, end_s=20),
    ]
    (source,) = download.sources_of(clips)
    assert source.url == "https://www.youtube.com/watch?v=a"
    assert source.sections == ((0.0, 3600.0), (10.0, 20.0))
    assert download.disk_needed([source]) == 3600 * download.BYTES_PER_S
    huge = download.SourceVideo(video_id="b", url="", sections=((0.0, 1e12),))
    with pytest.raises(ValueError, match="videos need about .* GB free: make room"):
        download.check_disk(tmp_path / "not" / "there", [huge])


def test_the_command_says_what_came_and_exits_1_if_nothing_did(site, tmp_path):
    rows = tmp_path / "rows.jsonl"
    clip = Clip(video_id="good", start_s=0.0, end_s=4.0, video_url=f"{site.url}/good.mp4")
    write_jsonl(rows, [clip])
    command = [
        "download",
        "--dataset",
        str(rows),
        "--output-dir",
        str(tmp_path / "v"),
        "--sleep-s",
        "0",
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0 and "1 of 1 videos are here" in done.output
    assert media.probe(tmp_path / "v" / "good.mp4").duration_s > 4
    write_jsonl(
        rows, [Clip(video_id="gone", start_s=0.0, end_s=4.0, video_url=f"{site.url}/gone.mp4")]
    )
    nothing = CliRunner().invoke(app, command)
    assert nothing.exit_code == 1 and "1 failed: removed" in nothing.output


def test_the_command_tells_some_from_all_and_keeps_what_it_did_not_download(site, tmp_path):
    rows, out = tmp_path / "rows.jsonl", tmp_path / "v"
    out.mkdir()
    (out / "mine.mkv").write_text("filmed by hand")
    names = ("good", "gone", "mine")
    write_jsonl(
        rows,
        [
            Clip(video_id=name, start_s=0.0, end_s=4.0, video_url=f"{site.url}/{name}.mp4?t=SECRET")
            for name in names
        ],
    )
    command = ["download", "--dataset", str(rows), "--output-dir", str(out), "--sleep-s", "0"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 3 and "mine: a file of this name is there" in done.output
    assert {p.name for p in out.glob("*.m*")} == {"good.mp4", "mine.mkv"}
    assert (out / "mine.mkv").read_text() == "filmed by hand"
    kept = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert b"SECRET" not in kept and "SECRET" not in done.output
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 3 and [k for k, _ in site.seen].count("good") <= 2


def publish(site, **contents):
    lines = [f"{hashlib.sha256(body).hexdigest()}  {name}" for name, body in contents.items()]
    site.files |= contents | {"SHA256SUMS.txt": "\n".join(lines).encode()}


def echo(site, out, *names):
    files = physionet.list_files(site.url, names)
    stage = physionet.PhysioNetStage(base_url=site.url, output_dir=str(out))
    with Ledger(out / "ledger.sqlite") as ledger:
        run = run_stage(files, stage, ledger, show_progress=False)
        return run, [row["reason"] for row in ledger.rows("physionet", run.params) if row["reason"]]


def test_credentialed_files_are_resumed_and_checked(site, tmp_path, monkeypatch):
    monkeypatch.setattr("obvlib.engine.outcomes.RETRY_WAIT_S", 0.0)
    publish(site, **{"cut.dcm": LECTURE, "secret.dcm": LECTURE[::-1]})
    site.num_cuts = 2
    run, reasons = echo(site, tmp_path, "cut.dcm", "secret.dcm")
    assert run.num_done == 1 and "refuses these credentials" in reasons[0]
    assert (tmp_path / "cut.dcm").read_bytes() == LECTURE
    resumed = [asked for kind, asked in site.seen if kind == "cut" and asked]
    assert len(resumed) == 2 and resumed[0] != resumed[1]  # each went on where the last had ended
    monkeypatch.setenv("PHYSIONET_USER", "me")
    monkeypatch.setenv("PHYSIONET_PASSWORD", "p4ss")
    run, reasons = echo(site, tmp_path, "cut.dcm", "secret.dcm")
    assert (run.num_done, run.num_skipped, reasons) == (1, 1, [])
    ledger = (tmp_path / "ledger.sqlite").read_bytes()
    assert b"p4ss" not in ledger


def test_a_page_or_another_file_is_never_kept(site, tmp_path, monkeypatch):
    monkeypatch.setattr("obvlib.engine.outcomes.RETRY_WAIT_S", 0.0)
    publish(site, **{"page.dcm": LECTURE, "other.dcm": LECTURE})
    site.files["page.dcm"], site.files["other.dcm"] = PAGE, LECTURE[:-1] + b"x"
    _, reasons = echo(site, tmp_path, "page.dcm", "other.dcm")
    assert any("a web page came" in reason for reason in reasons)
    assert any("checksum differs" in reason for reason in reasons)
    assert {path.name for path in tmp_path.iterdir()} <= {"ledger.sqlite"} | {
        path.name for path in tmp_path.glob("ledger.sqlite-*")
    }


def test_a_list_that_is_a_login_page_or_leaves_its_folder_is_refused(site):
    site.files["SHA256SUMS.txt"] = PAGE
    with pytest.raises(ValueError, match="lists no checksum"):
        physionet.list_files(site.url)
    publish(site, **{"../../etc/passwd": b"x"})
    with pytest.raises(ValueError, match="passwd"):
        physionet.list_files(site.url)


def test_netrc_serves_where_the_environment_is_silent(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PHYSIONET_USER", "PHYSIONET_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    assert physionet.credentials("physionet.org") is None
    path = Path(os.environ["HOME"], ".netrc")
    path.write_text("machine physionet.org login me password secret\n")
    path.chmod(0o600)
    assert physionet.credentials("physionet.org") == ("me", "secret")
