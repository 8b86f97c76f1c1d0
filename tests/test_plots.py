"""Figures: what is drawn is what the table says, axes carry units, and nothing happens at import."""  # noqa: E501

import subprocess
import sys

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from obvlib.report import paper, plots  # noqa: E402

ROW = {"num": 10, "num_videos": 5, "majority": 0.5, "verdict": "learned"}
ROWS = [
    ROW
    | {"family": "ejection_fraction"}
    | {"before": 0.25, "before_low": 0.1, "before_high": 0.5}
    | {"after": 0.9, "after_low": 0.7, "after_high": 0.97},
    ROW
    | {"family": "polyp", "verdict": "not learned"}
    | {"before": 0.0, "before_low": 0.0, "before_high": 0.3}
    | {"after": 1.0, "after_low": 0.6, "after_high": 1.0},
]


@pytest.fixture(autouse=True)
def fresh():
    with matplotlib.rc_context():
        yield
    plt.close("all")


def drawn(ax):
    ax.figure.canvas.draw()
    return ax


def legend_of(ax):
    (legend,) = ax.figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_score_bars():
    ax = drawn(plots.score_bars(ROWS))
    assert [round(bar.get_width(), 6) for bar in ax.patches] == [25, 0, 90, 100]
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "ejection fraction\nlearned",
        "polyp\nnot learned",
    ]
    intervals = [
        segment[:, 0].tolist() for lines in ax.collections for segment in lines.get_segments()
    ]
    assert np.allclose(intervals, [[10, 50], [0, 30], [70, 97], [60, 100]])
    diamonds = next(line for line in ax.lines if line.get_label() == "majority answer")
    assert list(diamonds.get_xdata()) == [50, 50]
    assert ax.get_xlabel() == "accuracy (%), with 95 % interval"
    assert sorted(legend_of(ax)) == ["after fine-tuning", "before fine-tuning", "majority answer"]


def test_a_given_axes_is_drawn_on_and_returned():
    _, ax = plt.subplots()
    assert plots.score_bars(ROWS, ax) is ax
    assert plots.histogram([1, 2], "length (s)", ax=ax) is ax
    assert len(plt.get_fignums()) == 1


def test_the_results_figure_is_drawn_from_the_paper_s_numbers():
    rows = paper.paper_scores()
    ax = drawn(plots.benchmark_bars(rows))
    widths = sorted(round(patch.get_width(), 1) for patch in ax.patches)
    assert widths == sorted(value for row in rows for value in row.values() if type(value) is float)
    assert [label.get_text() for label in ax.get_yticklabels()] == [r["benchmark"] for r in rows]


def test_paper_comparison_shows_ours_only_where_there_is_one():
    rows = [
        {"benchmark": "x", "paper_before": 10.0, "paper_after": 20.0},
        {
            "benchmark": "y",
            "paper_before": 30.0,
            "paper_after": 25.0,
            "ours": 27.0,
            "low": 20.0,
            "high": 35.0,
        },
    ]
    ax = drawn(plots.paper_comparison(rows))
    assert "ours, with 95 % interval" in legend_of(ax) and ax.get_xlabel() == "accuracy (%)"
    (ours,) = ax.containers
    assert ours.lines[0].get_xdata().tolist() == [27.0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["x", "y"]
    assert "ours, with 95 % interval" not in legend_of(drawn(plots.paper_comparison(rows[:1])))


def test_claimed_gains():
    ax = drawn(plots.claimed_gains(paper.check_claims()))
    assert ax.get_xlabel() == "relative gain (%)"
    claimed = next(line for line in ax.lines if line.get_label() == "claimed")
    assert list(claimed.get_xdata())[:3] == [98.7, 71.2, 0.2]
    assert ax.get_yticklabels()[1].get_text() == "README image 2B (differs)"


@pytest.mark.parametrize("num", [1, 7, 8, 9, 20])
def test_every_frame_is_shown_with_its_time(num):
    frames = np.zeros((num, 12, 20, 3), np.uint8)
    frames[:, :, :, 0] = (10 + np.arange(num))[:, None, None]
    ax = drawn(plots.show_frames(frames, np.arange(num) / 2))
    strip = ax.images[0].get_array()
    assert [text.get_text() for text in ax.texts] == [f"{i / 2:.2f} s" for i in range(num)]
    red = strip[:, :, 0][(strip[:, :, 1] == 0)]
    assert sorted(set(red.tolist())) == list(range(10, 10 + num))
    assert (np.bincount(red)[10:] == 12 * 20).all()
    assert strip.shape[1] == min(num, 8) * 21 - 1


def test_grey_frames_and_floats_are_understood():
    ax = plots.show_frames(np.full((2, 4, 4), 0.5), [0, 1], columns=1)
    assert 127 in ax.images[0].get_array()
    assert len(ax.texts) == 2


@pytest.mark.parametrize(
    ("shape", "num_times"),
    [((0, 4, 4, 3), 0), ((2, 4, 4, 3), 3), ((2, 4, 4, 4), 2), ((4, 4), 4), ((2, 3, 4, 4), 2)],
)
def test_frames_of_another_shape_are_refused(shape, num_times):
    with pytest.raises(ValueError, match=r"need \(T, H, W, 3\) and T times"):
        plots.show_frames(np.zeros(shape, np.uint8), [0.0] * num_times)


def test_loss_curve_has_the_mean_of_the_steps_around():
    ax = drawn(plots.loss_curve([0, 1, 2, 3], [4.0, 2.0, 0.0, 2.0], window=2))
    assert ax.lines[0].get_ydata().tolist() == [4.0, 2.0, 0.0, 2.0]
    assert ax.lines[1].get_ydata().tolist() == pytest.approx([3.0, 2.0, 4 / 3, 1.0])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "loss (nats per token)")


def test_segment_timeline():
    ax = drawn(plots.segment_timeline({"truth": [(1, 3), (5, 9)], "found": []}, 12.0))
    extents = ax.collections[0].get_paths()
    assert [(path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in extents] == [
        (1, 3),
        (5, 9),
    ]
    assert ax.get_xlim() == (0, 12) and ax.get_xlabel() == "time in the video (s)"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["truth", "found"]


def test_histogram_counts_all_and_marks_the_median():
    ax = drawn(plots.histogram([1, 2, 3, 10], "clip length (s)", bins=3))
    assert sum(bar.get_height() for bar in ax.patches) == 4
    assert ax.lines[0].get_xdata() == [2.5, 2.5]
    assert ax.get_legend().get_texts()[0].get_text() == "median 2.5"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("clip length (s)", "clips")


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.score_bars([]),
        lambda: plots.paper_comparison([]),
        lambda: plots.claimed_gains([]),
        lambda: plots.loss_curve([], []),
        lambda: plots.segment_timeline({}, 1.0),
        lambda: plots.histogram([], "x (s)"),
    ],
)
def test_nothing_to_draw_is_an_error_that_says_so(draw):
    with pytest.raises(ValueError, match="nothing to draw"):
        draw()


def test_style_can_be_set_twice():
    plots.use_style()
    plots.use_style()
    assert matplotlib.rcParams["axes.prop_cycle"].by_key()["color"][0] == plots.BLUE


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_before_and_after_differ_in_grey_too():
    light, dark = sorted([luminance(plots.SKY), luminance(plots.BLUE)], reverse=True)
    assert (light + 0.05) / (dark + 0.05) > 2


def test_import_draws_nothing_and_loads_no_pyplot():
    code = "import sys, obvlib.report; print('matplotlib.pyplot' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
