"""Labels as the widgets write and show them: several pages, sessions and raters at once, disks that
are full, and what curation needs of them.
"""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from test_widgets import ask, requests

from obvlib import mini
from obvlib.core import Clip, QAPair
from obvlib.core.labels import LabelFile
from obvlib.widgets import (
    FrameItem,
    inspect,
    label_frames,
    review_captions,
    review_questions,
    reviewed,
)


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("OBV_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def a_label(number: int, **more) -> dict:
    label = {"label_id": f"c{number}", "item_id": "x", "item_hash": "h", "field": "flag"}
    return label | {"new": f"flag {number}", "undo_of": ""} | more


def review(rater: str = "ada"):
    pair = QAPair(question="Q?", answer="A", options={"A": "a", "B": "b"})
    return review_questions([Clip(video_id="v", start_s=0, end_s=4, qa_pairs=(pair,))], rater=rater)


def test_a_page_that_is_loaded_again_gets_the_labels_set_since(data):
    widget = inspect("mini", rater="ada")
    sent = requests(widget)
    ask(widget, sent, "label", label=a_label(1))
    _, buffers = ask(widget, sent, "open")
    assert [label["label_id"] for label in json.loads(buffers[0])] == ["c1"]
    assert widget.labels == []  # what the page was first opened with


def test_every_page_of_a_widget_hears_of_a_label(data):
    widget = review()
    sent = requests(widget)
    ask(widget, sent, "label", label=a_label(1))
    (told,) = [message for message, _ in sent if message["kind"] == "labelled"]
    assert (told["label"]["label_id"], told["label"]["rater"]) == ("c1", "ada")


def test_what_two_sessions_both_take_back_is_taken_back_once(data):
    one, two = review(), review()
    sent_one, sent_two = requests(one), requests(two)
    ask(one, sent_one, "label", label=a_label(1))
    first = ask(one, sent_one, "label", label=a_label(2, undo_of="c1"))
    sent_two.clear()
    second = ask(two, sent_two, "label", label=a_label(3, undo_of="c1"))
    assert first[0]["kind"] == second[0]["kind"] == "answer"
    assert second[0]["label"]["label_id"] == "c2"  # the page shows the line that did it
    assert len(LabelFile("ada").labels()) == 2 and LabelFile("ada").values() == {}


def test_what_another_rater_says_is_there_when_asked_for(data):
    widget = review("ada")
    sent = requests(widget)
    bob = LabelFile("bob")
    bob.add("x", "h", "verdict", "right")
    assert ask(widget, sent, "others")[0]["others"] == {"bob": {"x": {"verdict": "right"}}}
    bob.undo()
    sent.clear()
    assert ask(widget, sent, "others")[0]["others"] == {"bob": {}}


def test_a_file_that_no_rater_can_have_does_not_stop_the_rest(data):
    LabelFile("bob").add("x", "h", "verdict", "right")
    (data / "labels/a copy of ada.jsonl").write_text("{}")
    assert set(review("ada").others) == {"bob"}


def test_a_label_that_cannot_be_written_is_refused_with_the_reason(data):
    widget = review()
    sent = requests(widget)
    data.mkdir()
    (data / "labels").write_text("a file where the folder should be")
    answer = ask(widget, sent, "label", label=a_label(1))[0]
    assert answer["kind"] == "error" and "labels" in answer["text"]
    os.remove(data / "labels")
    sent.clear()
    assert ask(widget, sent, "label", label=a_label(1))[0]["kind"] == "answer"
    assert LabelFile("ada").values() == {("x", "flag"): "flag 1"}


def test_labels_of_two_data_roots_have_two_names(data, tmp_path):
    pair = QAPair(question="Q?", answer="A")
    clip = Clip(video_id="v", start_s=0, end_s=4, qa_pairs=(pair,))
    here = review_questions([clip], rater="ada")
    there = review_questions([clip], rater="ada", root=tmp_path / "other")
    assert here.store != there.store and str(data) not in here.store
    assert here.store == inspect("mini", rater="ada").store != review("bob").store


def test_labelled_frames_train_the_frame_classifier(data):
    from obvlib.curation.frames import NUM_WINDOWS, FrameHead, pooled
    from obvlib.curation.head import fit_pool

    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, NUM_WINDOWS, 4)).astype(np.float32)
    features[:20, :, 0] += 2
    one = np.ones(4, np.float32)
    hidden = {"hidden_weight": np.eye(4, dtype=np.float32), "hidden_bias": 6 * one}
    untrained = {"bias": 0.0, "mean": 0 * one, "scale": one, "pool_bias": 0.0}
    weight, pool = np.eye(4, dtype=np.float32)[0], np.zeros(6, np.float32)
    head = FrameHead(weight=weight, pool_weight=pool, **hidden, **untrained)
    items = [FrameItem(item_id=f"f{i}", image=features[i], score=0.5) for i in range(40)]
    widget = label_frames(items, rater="ada")
    sent = requests(widget)
    for i in range(40):
        new = "medical" if i < 20 else "other"
        ask(widget, sent, "label", label=a_label(i, item_id=f"f{i}", field="medical", new=new))
    answers = widget.answers()
    assert list(answers) == [item.item_id for item in items]
    truth = np.array([answer == "medical" for answer in answers.values()])
    trained = fit_pool(head, pooled(head.window_logits(features)), truth)
    assert ((trained.scores(features) > 0.5) == truth).all()


def test_decisions_change_the_questions_of_a_clip(data):
    pairs = tuple(
        QAPair(question=f"Q{i}?", answer="A", options={"A": "a", "B": "b"}) for i in range(4)
    )
    clip = Clip(video_id="v", start_s=0, end_s=4, qa_pairs=pairs)
    widget = review_questions([clip], rater="ada")
    sent = requests(widget)
    edit = {"action": "edit", "question": "Which?", "options": {"A": "x", "B": "y"}, "answer": "B"}
    said = [{"action": "accept"}, edit, {"action": "reject", "reason": "other"}]
    for number, decision in enumerate(said):
        item = f"{clip.clip_id}-{number}"
        label = a_label(number, item_id=item, field="decision", new=decision)
        ask(widget, sent, "label", label=label)
    kept = reviewed(clip, widget.decisions())
    assert [pair.question for pair in kept] == ["Q0?", "Which?", "Q3?"]
    assert (kept[1].options, kept[1].answer) == ({"A": "x", "B": "y"}, "B")


def test_a_caption_decided_in_the_widget_is_what_the_next_run_takes_over(data):
    from obvlib.curation import read_decisions
    from obvlib.curation.passages import Passage
    from obvlib.curation.review import ReviewCaption
    from obvlib.engine import Drop

    facts = {"video_id": "v", "start_s": 0.0, "end_s": 4.0}
    seen = {"path": "v.mp4", "score": 0.9, "change": 0.1, "flat": 0.0, "caption": "The hearts."}
    machine = Passage(**facts, **seen)

    def decide(caption: str, decision: dict) -> Passage | Drop:
        widget = review_captions([Clip(**facts, caption=caption)], rater="ada")
        (item,) = widget.items
        number = len(widget.labels)
        label = a_label(number, item_id=item["id"], item_hash=item["hash"], field="decision")
        ask(widget, requests(widget), "label", label=label | {"new": decision})
        assert widget.decisions() == {item["id"]: decision}
        return ReviewCaption(decisions=read_decisions())(machine)

    edit = {"action": "edit", "caption": "The heart."}
    assert decide("The hearts.", edit).caption == "The heart."
    again = {"action": "edit", "caption": "The heart beats."}  # of what the first edit made
    assert decide("The heart.", again).caption == "The heart beats."
    assert decide("The heart beats.", {"action": "accept"}).caption == "The heart beats."
    reject = {"action": "reject", "reason": "misheard"}
    assert decide("The heart beats.", reject) == Drop("rejected by a person: misheard")


def test_labels_of_the_first_clip_hold_its_hash(data):
    widget = inspect("mini", rater="ada")
    sent = requests(widget)
    clip_id = mini.rows()[0].clip_id
    label = a_label(1, item_id=clip_id, item_hash="")
    detail = ask(widget, sent, "show", id=clip_id)[0]["detail"]
    assert ask(widget, sent, "label", label=label)[0]["label"]["item_hash"] == detail["hash"]
