"""Small pretrained parts: found in their packages, equal to their references, refused by name."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from obvlib import mini
from obvlib.core import manifests_dir
from obvlib.encoders import PARTS, part_path
from obvlib.encoders.texts import embed_texts
from obvlib.scoring.open_answers import MIN_SIMILARITY, judge_open


def installed(name):
    try:
        part_path(name)
    except ImportError as error:
        pytest.skip(str(error))


def test_parts_are_named_and_missing_ones_say_what_to_install(monkeypatch):
    with pytest.raises(ValueError, match="'gpt' comes with no package"):
        part_path("gpt")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name, part in PARTS.items():
        with pytest.raises(ImportError, match=part.distribution):
            part_path(name)


def test_folded_convolutions_equal_the_published_layers():
    """One block computed step by step, batch norms and all, from the published weights."""
    from obvlib.encoders.efficientnet import Block, turned

    installed("efficientnet-lite0")
    state = torch.load(part_path("efficientnet-lite0"), weights_only=True)
    x = torch.randn(2, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = x
    for conv, norm, kwargs in (
        ("_expand_conv", "_bn0", {}),
        ("_depthwise_conv", "_bn1", {"stride": 2, "groups": 96}),
        ("_project_conv", "_bn2", {}),
    ):
        if conv == "_depthwise_conv":
            expected = torch.nn.functional.pad(expected, (0, 1, 0, 1))
        expected = torch.nn.functional.conv2d(expected, state[f"_blocks.1.{conv}.weight"], **kwargs)
        values = [
            state[f"_blocks.1.{norm}.{part}"]
            for part in ("running_mean", "running_var", "weight", "bias")
        ]
        expected = torch.nn.functional.batch_norm(expected, *values, eps=1e-3)
        expected = expected if norm == "_bn2" else expected.clamp(0, 6)
    found = turned(Block(state, 1, 2, 6, 24)(turned(x)))
    assert torch.allclose(found, expected, atol=1e-4)


def test_pictures_become_maps_of_features():
    from obvlib.encoders.efficientnet import MAP_CHANNELS
    from obvlib.encoders.pictures import picture_encoder

    installed("efficientnet-lite0")
    encoder = picture_encoder()
    assert encoder.input_size(720, 1280) == (256, 448)
    assert encoder.input_size(100, 5000)[1] <= 2.6 * encoder.input_size(100, 5000)[0]
    maps = encoder.maps(np.zeros((1, 64, 96, 3), np.uint8))
    assert [one.shape[1] for one in maps] == list(MAP_CHANNELS)
    assert [one.shape[2:] for one in maps] == [(16, 24), (8, 12), (4, 6), (4, 6), (2, 3)]


def test_silence_and_noise_hold_no_voice():
    from obvlib.encoders.voices import voice_probabilities

    installed("silero-vad")
    noise = np.random.default_rng(0).normal(0, 0.05, 32_000).astype(np.float32)
    assert voice_probabilities(noise).max() < 0.5
    assert voice_probabilities(np.zeros(1000, np.float32)).shape == (2,)
    assert voice_probabilities(np.zeros(0, np.float32)).shape == (0,)


def test_a_cut_is_found_where_it_is():
    from obvlib.curation.stages import cuts_near

    installed("transnetv2")
    lecture = mini.sources()[0]
    path = str(mini.videos_dir() / f"{lecture.video_id}.mp4")
    at_s = lecture.parts[2].start_s
    assert cuts_near(path, at_s + 0.3, lecture.duration_s) == pytest.approx([at_s])


def test_like_texts_are_close():
    installed("all-minilm-l6-v2")
    a, b, c = embed_texts(["an ultrasound of the heart", "echocardiography", "stock prices fell"])
    assert a @ a == pytest.approx(1, abs=1e-5)
    assert a @ b > a @ c + 0.1
    assert embed_texts([]).shape == (0, 384)


def test_no_wrong_pair_is_as_similar_as_the_threshold():
    """MiniLM's cosine takes "3+4" for "4+3": the threshold is above whatever it mistakes."""
    with open(manifests_dir() / "judging" / "pairs.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] == "0"]
    rows = [r for r in rows if judge_open(r["response"], r["reference"]).rule == "missing"]
    first, second = (embed_texts([row[name] for row in rows]) for name in ("reference", "response"))
    highest = float((first * second).sum(axis=1).max())
    assert 0.95 < highest < MIN_SIMILARITY


def test_an_unknown_speech_model_is_refused_by_name(tmp_path):
    from obvlib.encoders.speech import check_model

    pytest.importorskip("faster_whisper")
    for name in ("whisper-base", "whisper-large-v3", "medium"):
        check_model(name)
    with pytest.raises(
        ValueError, match="speech model 'whisper-huge' is unknown: use whisper-base"
    ):
        check_model("whisper-huge")
    with pytest.raises(ValueError, match="a folder with its model.bin"):
        check_model(str(tmp_path))
    (tmp_path / "model.bin").touch()
    check_model(str(tmp_path))
