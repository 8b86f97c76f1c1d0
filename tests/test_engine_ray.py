"""The same stage on a Ray cluster of two nodes: a worker and then a whole node die in the middle,
and every clip is done once.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import video_samples as samples

from obvlib import media, slicing
from obvlib.core.files import remove_leftovers
from obvlib.engine import run_stage
from obvlib.engine.ledger import Ledger

pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True)
class DyingStage(slicing.SliceStage):
    """Cuts clips; its process dies in the middle of the first source, once."""

    notes: str

    def run_group(self, jobs):
        for count, result in enumerate(super().run_group(jobs)):
            time.sleep(0.02)
            yield result
            marker = Path(self.notes) / "died"
            if jobs[0].video_id == "v0" and count == 1 and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def cluster():
    import ray
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH",
            os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
        )
        made = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
        )
        made.add_node(num_cpus=1)
        patch.setenv("RAY_ADDRESS", made.address)
        yield made
        ray.shutdown()
        made.shutdown()


def jobs_of(videos: Path, num_sources: int, num_clips: int) -> list[slicing.ClipJob]:
    """A few clips of each of several sources, all of which are the same file."""
    video = samples.make(videos / "v0.mp4", num_frames=100, options={"g": "25"})
    for number in range(1, num_sources):
        (videos / f"v{number}.mp4").symlink_to(video)
    return [
        slicing.ClipJob(
            clip_id=f"v{s}_{i}",
            video_id=f"v{s}",
            start_s=i * 0.3,
            end_s=i * 0.3 + 1,
            file_name=f"v{s}_{i}.mp4",
            source=str(videos / f"v{s}.mp4"),
        )
        for s in range(num_sources)
        for i in range(num_clips)
    ]


def run(jobs, stage, ledger):
    return run_stage(jobs, stage, ledger, engine="ray", show_progress=False)


def test_a_worker_dies_in_the_middle(cluster, tmp_path):
    jobs = jobs_of(tmp_path, num_sources=6, num_clips=5)
    out = tmp_path / "out"
    out.mkdir()
    stage = DyingStage(
        output_dir=str(out), cache_dir=str(tmp_path / "cache"), num_threads=1, notes=str(tmp_path)
    )
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        result = run(jobs, stage, ledger)
        assert (tmp_path / "died").exists()
        assert (result.num_done, result.num_failed) == (30, 0)
        assert [row["attempts"] for row in ledger.rows("slice")] == [1] * 30
        assert run(jobs, stage, ledger).num_skipped == 30
    remove_leftovers(out)
    assert {path.name for path in out.iterdir()} == {job.file_name for job in jobs}
    assert all(media.probe(path).duration_s == 1.0 for path in out.iterdir())


@dataclass(frozen=True, kw_only=True)
class SlowStage(slicing.SliceStage):
    def run_group(self, jobs):
        time.sleep(1.0)
        yield from super().run_group(jobs)


def test_a_node_dies_in_the_middle(cluster, tmp_path):
    jobs = jobs_of(tmp_path, num_sources=8, num_clips=2)
    (tmp_path / "out").mkdir()
    stage = SlowStage(
        output_dir=str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"), num_threads=1
    )
    node = next(iter(cluster.worker_nodes))
    threading.Timer(4.0, lambda: cluster.remove_node(node, allow_graceful=False)).start()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        result = run(jobs, stage, ledger)
        assert (result.num_done, result.num_failed) == (16, 0)
        assert [row["attempts"] for row in ledger.rows("slice")] == [1] * 16
    assert len(list((tmp_path / "out").glob("*.mp4"))) == 16
