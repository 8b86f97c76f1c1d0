"""Statistics of a dataset: parts add up, overlaps count once, repeated captions are found."""

import pytest

from obvlib import mini
from obvlib.core import Clip
from obvlib.manifests.cards import counts_of
from obvlib.report import statistics
from obvlib.report.paper import paper_dataset


def clip(start, end, caption="", video="v", **fields):
    return Clip(video_id=video, start_s=start, end_s=end, caption=caption, **fields)


def test_parts_add_up_to_the_whole():
    clips = mini.rows()
    total = statistics.summary(clips)
    for field in ("modality", "region", "split"):
        hours = statistics.hours_by(clips, field)
        assert sum(hours.values()) == pytest.approx(total["hours"])
        assert list(hours.values()) == sorted(hours.values(), reverse=True)
    counts = counts_of(clips)
    assert {name: total[name] for name in ("clips", "videos", "qa_pairs")} == {
        name: counts[name] for name in ("clips", "videos", "qa_pairs")
    }


def test_a_clip_without_a_label_still_counts():
    hours = statistics.hours_by([clip(0.0, 3600.0, modality="MRI"), clip(0.0, 1800.0)], "modality")
    assert hours == {"MRI": 1.0, "not labelled": 0.5}


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([(0.0, 10.0), (10.0, 20.0)], 0.0),
        ([(0.0, 10.0), (5.0, 20.0)], 5.0),
        ([(0.0, 10.0), (2.0, 8.0), (4.0, 6.0)], 6.0),
    ],
)
def test_overlap_counts_each_second_once(spans, seconds):
    assert statistics.overlap_s(clip(*span) for span in spans) == seconds
    apart = [clip(*span, video=str(i)) for i, span in enumerate(spans)]
    assert statistics.overlap_s(apart) == 0.0


def test_one_caption_for_many_clips_is_found():
    clips = [clip(i, i + 1.0, "A heart.") for i in range(3)] + [clip(9.0, 10.0, "a heart")]
    clips += [clip(11.0, 12.0, "A liver."), clip(13.0, 14.0, "")]
    assert statistics.repeated_captions(clips) == {"A heart.": 4}


def test_the_published_parts_add_up_to_the_published_total():
    total = paper_dataset("total")["duration"]
    assert sum(paper_dataset("region").values()) == pytest.approx(total, abs=0.05)
    assert sum(paper_dataset("modality").values()) == pytest.approx(total, abs=0.15)


def test_bars_show_every_category_and_its_number():
    ax = statistics.hour_bars({"Other": 3.0, "MRI": 2.0, "CT": 0.25})
    assert [text.get_text() for text in ax.get_yticklabels()] == ["MRI", "CT", "Other"]
    assert [text.get_text() for text in ax.texts] == ["2.0", "0.250", "3.0"]
    with pytest.raises(ValueError, match="nothing to draw"):
        statistics.hour_bars({})
