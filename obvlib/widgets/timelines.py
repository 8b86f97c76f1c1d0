"""What is known along a source video: its words, its segments and a classifier's scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from obvlib.core import Word


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Spoken words, segments (start, end, what it is), and scores with their threshold, in seconds
    of the source video.
    """

    words: Sequence[Word] = ()
    segments: Sequence[tuple[float, float, str]] = ()
    score_times_s: Sequence[float] = ()
    scores: Sequence[float] = ()
    threshold: float | None = None

    def as_json(self, start_s: float, end_s: float) -> dict[str, Any]:
        """Return the part from `start_s` to `end_s`, for the page."""
        scored = [
            (time_s, score)
            for time_s, score in zip(self.score_times_s, self.scores, strict=True)
            if start_s <= time_s <= end_s
        ]
        words = [w for w in self.words if w.end_s > start_s and w.start_s < end_s]
        return {
            "from": start_s,
            "to": end_s,
            "words": [[word.text, word.start_s, word.end_s] for word in words],
            "segments": [list(s) for s in self.segments if s[1] > start_s and s[0] < end_s],
            "score_times": [time_s for time_s, _ in scored],
            "scores": [score for _, score in scored],
            "threshold": self.threshold,
        }


def mini_timelines() -> dict[str, Timeline]:
    """Return words and parts of the shipped lectures: the parts are known, they were drawn."""
    from obvlib import mini

    return {
        source.video_id: Timeline(
            words=source.words,
            segments=[(part.start_s, part.end_s, part.kind) for part in source.parts],
        )
        for source in mini.sources()
    }


def recorded_timeline(rows: Sequence[Mapping[str, Any]]) -> Timeline | None:
    """Return what curation recorded of a video in the ledger: `rows` are the ledger's, oldest
    first, each with its settings; None where curation did not see the video.
    """
    done = {row["stage"]: row for row in rows if row["status"] == "done" and row["output"]}
    scored, found, heard = (
        done.get(name, {}).get("output") or {}
        for name in ("score_frames", "find_segments", "narrate")
    )
    if not (scored or found or heard):
        return None
    scores = scored.get("scores", ())
    settings = done.get("find_segments", {}).get("settings") or {}
    words = [Word(**word) for word in heard.get("words", ())]
    return Timeline(
        words=words,
        segments=[(s["start_s"], s["end_s"], "segment") for s in found.get("stretches", ())],
        score_times_s=[i * scored["step_s"] for i in range(len(scores))],
        scores=scores,
        threshold=settings.get("threshold"),
    )
