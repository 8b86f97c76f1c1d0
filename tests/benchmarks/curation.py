"""Minutes of video per minute of wall time for frames and speech, models loaded, and word error:
`python tests/benchmarks/curation.py [NUM_LECTURES]`.
"""

from __future__ import annotations

import sys
import time

from obvlib import mini
from obvlib.curation.narration import TranscribeVideo
from obvlib.curation.stages import FindSegments, KeepSegment, ScoreFrames, Video


def main(num_lectures: int) -> None:
    """Run each stage on every lecture, after one that warms the models up."""
    sources = mini.sources("test")[: num_lectures + 1]
    seconds = {"score_frames": 0.0, "find_segments": 0.0, "transcribe": 0.0}
    cpu = dict(seconds)
    video_s = 0.0
    for index, source in enumerate(sources):
        path = str(mini.videos_dir() / f"{source.video_id}.mp4")
        video = Video(video_id=source.video_id, path=path)
        record = video
        for stage in (ScoreFrames(), FindSegments(), TranscribeVideo()):
            started, used = time.perf_counter(), time.process_time()
            if stage.name == "transcribe":
                stage(video)
            else:
                record = stage(record)
            if index:
                seconds[stage.name] += time.perf_counter() - started
                cpu[stage.name] += time.process_time() - used
        kept = [KeepSegment()(stretch) for stretch in getattr(record, "stretches", ())]
        video_s += source.duration_s if index else 0.0
        print(source.video_id, f"{source.duration_s:.1f} s", len(kept), "stretches", flush=True)
    print(f"{video_s / sum(seconds.values()):.2f} minutes of video a minute of wall time")
    for name in seconds:
        print(f"{name}: {seconds[name]:.1f} s wall, {cpu[name]:.1f} s CPU of {video_s:.1f} s video")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
