"""Controls: what each takes away and nothing else, one run of the same code, kept in one folder
that can be read and scored again.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from obvlib import mini, report
from obvlib.core import Example, FramePolicy, Prediction
from obvlib.core.records import read_jsonl, write_jsonl
from obvlib.evaluation import EvalConfig, memory_reader, sensitivity, time_probe
from obvlib.evaluation.controls import CONTROLS, control_names, controlled
from obvlib.evaluation.likelihood import likeliest, likelihood_verdicts, option_logprobs
from obvlib.evaluation.runs import evaluate, load_evaluation, rescore
from obvlib.mini import SeenClip, generated_examples
from obvlib.models import tiny_bundle

CONFIG = EvalConfig(policy=FramePolicy.mini(), max_new_tokens=2, batch_size=8)


@pytest.fixture(scope="module")
def clips():
    return [
        SeenClip(name=c.name, frames=c.frames, times_s=c.times_s, qa_pairs=c.qa_pairs)
        for c in mini.heldout_clips(2, 0)
    ]


def seen(name, clips, index=0):
    """The example under a control, and the frames that the model is shown."""
    examples, reader = controlled(name, generated_examples(clips), memory_reader(clips))
    example = examples[index]
    visuals = reader(example)
    return example, (visuals[0].frames if visuals else None)


def test_each_control_takes_one_thing_away(clips):
    frames, other = clips[0].frames, clips[1].frames
    whole = generated_examples(clips)[0]
    example, shown = seen("no_visual", clips)
    assert shown is None and example == replace(whole, media=(), media_kind="text")
    assert not seen("blank", clips)[1].any() and seen("blank", clips)[1].shape == frames.shape
    example, shown = seen("other_video", clips)
    assert (shown == other).all() and replace(example, media=whole.media) == whole
    assert (seen("reversed", clips)[1] == frames[::-1]).all()
    assert (seen("middle_frame", clips)[1] == frames[3]).all()
    shuffled = seen("shuffled", clips)[1]
    assert sorted(map(bytes, shuffled)) == sorted(map(bytes, frames))
    assert (shuffled == seen("shuffled", clips)[1]).all() and (shuffled != frames).any()


def test_rotated_options_keep_the_right_text(clips):
    example, shown = seen("rotated_options", clips)
    whole = generated_examples(clips)[0]
    assert example.answer_text == whole.answer_text and example.answer != whole.answer
    assert [*example.options.values()][1:] == [*whole.options.values()][:-1]
    assert (shown == clips[0].frames).all()


def test_a_control_concerns_only_what_it_can_change(clips):
    text = Example(example_id="t", benchmark="b", video_id="v", question="?", answer="yes",
                   media_kind="text")  # fmt: skip
    for name in CONTROLS:
        assert controlled(name, [text], None)[0] == []
    with pytest.raises(ValueError, match="needs two sources of kind 'video', there is 1"):
        controlled("other_video", generated_examples(clips[:1]), None)
    assert control_names("blank, no_visual") == ("blank", "no_visual")
    assert control_names("all") == tuple(CONTROLS) and control_names("none") == ()
    with pytest.raises(ValueError, match="no control named 'blind'"):
        control_names("blind")


def test_an_evaluation_is_kept_whole_and_rescored_without_the_model(tmp_path, clips):
    examples, bundle = generated_examples(clips), tiny_bundle()
    run = evaluate(
        bundle, examples, tmp_path, CONFIG, controls=["no_visual"], read=memory_reader(clips)
    )
    assert run.examples == examples and len(run.verdicts) == len(examples)
    assert run.states == {"ok": len(examples), "failed": 0, "away": 0, "not_obtained": 0}
    assert run.is_complete and run.reasons() == []
    assert list(run.controls) == ["no_visual"]
    assert run.controls["no_visual"].about["control"] == "no_visual"
    assert all(e.media_kind == "text" for e in run.controls["no_visual"].examples)
    assert rescore(tmp_path) == []
    path = tmp_path / "predictions.jsonl"
    edited = [replace(p, response="A") for p in read_jsonl(path, Prediction)]
    write_jsonl(path, edited)
    changes = rescore(tmp_path)
    assert {c.after.choice for c in changes if c.after.rule.startswith("choice")} == {"A"}
    assert len(list(tmp_path.glob("verdicts.until_*.jsonl"))) == 1
    assert rescore(tmp_path) == []
    assert load_evaluation(tmp_path).verdicts != run.verdicts


def test_the_probe_of_time_asks_for_the_strongest_contraction(tmp_path):
    times = [0.0, 0.5, 1.0, 1.5, 2.0]
    asked = time_probe.frame_question("a", "a", times, [0.1, 0.3, 1.0, 0.2, 0.9])
    assert asked.answer_text == "1.00 s" and "2.00 s" not in asked.options.values()
    assert sorted(asked.options.values()) == ["0.00 s", "0.50 s", "1.00 s", "1.50 s"]
    assert time_probe.frame_question("a", "a", times, [0.9, 0.8, 1.0, 0.2, 0.9]) is None
    seen, examples = time_probe.drawn_probe(24, 3)
    assert len(seen) == len(examples) > 3
    assert len({e.answer for e in examples}) > 1  # no letter is always right
    real = time_probe.real_probe(tmp_path)
    assert real.answer_text == "0.20 s" and Path(real.media[0]).is_file()


def test_a_score_is_measured_under_several_frame_policies(tmp_path):
    variants = sensitivity.policy_variants(FramePolicy.mini())
    assert {n: (p.max_frames, p.max_pixels) for n, p in variants.items()} == {
        "as trained": (8, 4703), "half the frames": (4, 4703), "half the pixels": (8, 2352),
        "twice the frames": (16, 4703), "twice the pixels": (8, 9406),
    }  # fmt: skip
    assert variants["twice the frames"].max_visual_tokens == 48
    usual = sensitivity.policy_variants(FramePolicy())
    assert usual["half the frames a second"].fps == 0.5 and len(usual) == 7
    example = time_probe.real_probe(tmp_path)
    few = {name: variants[name] for name in ("as trained", "half the frames")}
    config = EvalConfig(max_new_tokens=2)
    runs = sensitivity.sensitivity(tiny_bundle(), [example], tmp_path / "runs", config, few)
    rows = report.sensitivity_rows(runs)
    assert [(row["policy"], row["max_frames"], row["n"]) for row in rows] == [
        ("as trained", 8, 1), ("half the frames", 4, 1)
    ]  # fmt: skip
    assert rows[0]["change"] == "" and rows[1]["change"].startswith("+0.0 [")


def test_what_was_not_obtained_is_outside_the_score_and_counted(tmp_path):
    missing = Example(example_id="e", benchmark="b", video_id="v", question="?", answer="yes",
                      media=(str(tmp_path / "x.mp4"),))  # fmt: skip
    broken = replace(missing, example_id="f", media=(str(tmp_path / "y.mp4"),))
    (tmp_path / "y.mp4").write_bytes(b"no video")
    run = evaluate(tiny_bundle(), [missing, broken], tmp_path / "run", CONFIG)
    assert run.states == {"ok": 0, "failed": 1, "away": 0, "not_obtained": 1}
    assert [v.example_id for v in run.verdicts] == ["f"]
    assert [count for _, count in run.reasons()] == [1, 1]


def test_likelihood_reads_no_text():
    tokenizer = tiny_bundle().tokenizer
    closed = Example(example_id="c", benchmark="b", video_id="v", question="?", answer="B",
                     options={"A": "x", "B": "y"}, media_kind="text")  # fmt: skip
    asked = replace(closed, example_id="y", answer="no", options=None)
    logits = torch.zeros(len(tokenizer))
    a, b = tokenizer.convert_tokens_to_ids(["A", "B"])
    logits[a], logits[b] = 1.0, 3.0
    kept = option_logprobs(closed, logits, tokenizer)
    expected = torch.log_softmax(logits, -1)[[a, b]].tolist()
    assert np.allclose([kept["A"], kept["B"]], expected, atol=1e-4)
    assert option_logprobs(replace(asked, answer="the left"), logits, tokenizer) is None
    assert set(option_logprobs(asked, logits, tokenizer)) == {"yes", "no"}
    said = Prediction(example_id="c", response="I cannot say", option_logprobs=kept)
    (verdict,) = likelihood_verdicts([closed, asked], [said])
    assert (verdict.correct, verdict.choice, verdict.rule) == (True, "B", "likelihood")
    assert likeliest(replace(said, option_logprobs={"A": -1.0, "B": -1.0})) is None
