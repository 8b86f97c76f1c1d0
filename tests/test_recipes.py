"""The profiles' recipes, and fine-tuning as one call on real slices of the mini corpus."""

import json
from dataclasses import replace

import pytest
import torch

from obvlib import mini, recipes, slicing
from obvlib.core import FramePolicy
from obvlib.core.records import QAPair, read_jsonl
from obvlib.manifests.benchmarks import clip_examples
from obvlib.manifests.hub import HubUnavailable
from obvlib.manifests.rows import load_rows
from obvlib.manifests.splits import Contamination
from obvlib.training import TrainConfig, runs, samples


@pytest.fixture
def chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("OBV_DATA", str(tmp_path))
    monkeypatch.delenv("OBV_PROFILE", raising=False)
    monkeypatch.setattr(samples, "NUM_GENERATED", 4)
    monkeypatch.setattr(samples, "NUM_VIEWS", 2)
    changes = ["optimizer=adamw", "capacity_tokens=700", "tracker=none"]
    return recipes.recipe("mini", changes)


@pytest.fixture
def clips(chosen):
    rows, _ = load_rows("mini", split="train")
    few = [clip for clip in rows if clip.video_id in ("mini01", "mini02")]
    slicing.slice_dataset(few, [], chosen.videos_dir, chosen.clips_dir, show_progress=False)
    return few


def test_a_run_is_kept_and_reused_and_other_data_go_beside_it(chosen, clips):
    bundle = recipes.load_model(chosen)
    result = recipes.finetune(chosen, bundle, clips)
    again = recipes.load_model(chosen)
    assert (
        recipes.finetune(chosen, again, clips) == result
    )  # the second call trained nothing, and says what the first one did
    assert all(
        torch.equal(a, b)
        for a, b in zip(bundle.model.parameters(), again.model.parameters(), strict=True)
    )
    run = json.loads((chosen.run_dir / "run.json").read_text())
    assert run["provenance"]["profile"] == "mini" and run["provenance"]["data_hash"] == run["key"]
    assert {
        pair.family for pair in read_jsonl(chosen.run_dir / "training.jsonl", QAPair)
    }.isdisjoint({"heart_rate"})
    (chosen.run_dir / "run.json").write_text('{"key": "a')  # torn by a kill: not finished
    torn = recipes.finetune(chosen, recipes.load_model(chosen), clips)
    assert (
        torn.num_steps == result.num_steps
        and json.loads((chosen.run_dir / "run.json").read_text())["key"] == run["key"]
    )
    assert chosen.current_run == chosen.run_dir
    other = recipes.finetune(chosen, recipes.load_model(chosen), clips[:1])
    beside = json.loads((other.folder / "run.json").read_text())
    assert other.folder != chosen.run_dir and beside["key"] != run["key"]
    assert chosen.current_run == other.folder and not runs.damage(chosen.run_dir)
    assert beside["data"]["counts"]["clips"] == 5 and beside["data"]["left_out"] == []


def test_a_tested_source_is_refused(chosen, clips):
    tested = list(clip_examples(clips[:1], "mini", chosen.clips_dir))
    with pytest.raises(Contamination, match=clips[0].video_id):
        recipes.finetune(chosen, recipes.load_model(chosen), clips, tested=tested)


def test_clips_that_were_never_cut_are_an_error_with_a_remedy(chosen, clips):
    missing = [replace(clip, video_id="elsewhere") for clip in clips]
    with pytest.raises(ValueError, match="obv slice"):
        recipes.finetune(chosen, recipes.load_model(chosen), missing)


@pytest.mark.parametrize("profile", ["gpu", "full"])
def test_the_larger_profiles_stop_at_once_with_one_sentence(monkeypatch, tmp_path, profile):
    monkeypatch.setenv("OBV_PROFILE", profile)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    chosen = recipes.recipe()
    assert chosen.model.startswith("qwen2-vl") and chosen.dataset == "OpenBiomedVid"
    with pytest.raises(
        HubUnavailable, match="hf download connectthapa84/OpenBiomedVid.*OBV_PROFILE=mini"
    ):
        load_rows(chosen.dataset)
    with pytest.raises(HubUnavailable, match="hf download Qwen/Qwen2-VL"):
        recipes.load_model(chosen)


@pytest.fixture(scope="module")
def asked():
    """What is asked in a thousand conversations about generated clips, as lists of (family,
    question in words or by letter).
    """
    clips = mini.generated_clips(64)
    views = samples.Views(clips, recipes.load_model(recipes.recipe("mini")), num_views=16)
    families = {pair.question: pair.family for clip in clips for pair in clip.qa_pairs}
    talks = []
    for index in range(64 * 16):
        questions = [turn.text.split("\n") for turn in views.turns(index) if turn.role == "user"]
        talks.append([(families[lines[0]], "A. " in lines[1]) for lines in questions])
    return talks


def test_every_question_that_frames_can_answer_comes_first_in_some_conversations(asked):
    first = [talk[0][0] for talk in asked]
    assert set(first) == {
        "modality",
        "region",
        "finding",
        "ejection_fraction",
        "lesion",
        "division",
        "polyp",
    }
    assert first.count("modality") > 100 and first.count("region") > 100


def test_a_letter_is_asked_for_before_words_give_it_away(asked):
    hearts = [talk for talk in asked if any(family == "ejection_fraction" for family, _ in talk)]
    assert all(talk[0][0] == "ejection_fraction" for talk in hearts)
    assert {by_letter for talk in hearts for _, by_letter in talk[:1]} == {True, False}
    assert all(family != "heart_rate" for talk in asked for family, _ in talk)


def test_a_clip_without_the_drawn_question_is_asked_what_it_has():
    (clip,) = mini.generated_clips(1)
    only = replace(clip, qa_pairs=tuple(pair for pair in clip.qa_pairs if pair.family == "region"))
    views = samples.Views([only], recipes.load_model(recipes.recipe("mini")), num_views=8)
    assert all(len(views.turns(index)) == 2 for index in range(8))


def test_the_profiles_files_hold_what_the_code_holds():
    assert recipes.recipe("mini").policy == FramePolicy.mini()
    assert recipes.recipe("mini").train_config(3) == TrainConfig.mini(
        recipes.recipe("mini").run_dir, seed=3, num_workers=1
    )
    for name in ("gpu", "full"):
        chosen = recipes.recipe(name)
        assert chosen.policy == FramePolicy()
        paper = TrainConfig(output_dir=chosen.run_dir, liger=True)
        assert chosen.train_config() == paper


@pytest.mark.parametrize(
    "change, said",
    [
        ("learning_rat=1", "no setting 'learning_rat': did you mean learning_rate"),
        ("frames.fsp=1", "frames has no setting 'fsp': did you mean fps"),
        ("learning_rate", "write name=value"),
        ("bf16=maybe", "bf16 is 'maybe'; it must be true or false"),
        ("rows_per_step=2.5", "rows_per_step is 2.5; it must be a whole number"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(change, said):
    with pytest.raises(ValueError, match=said):
        recipes.recipe("mini", [change])


def test_a_configuration_from_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: tiny\ndataset: mini\nbenchmarks: [mini]\ntraning: {}\n")
    with pytest.raises(ValueError, match="no setting 'traning': did you mean training"):
        recipes.recipe(str(path))
    path.write_text("model: tiny\ndataset: mini\nbenchmarks: [mini]\n")
    chosen = recipes.recipe(str(path), ["learning_rate=2e-5", "frames.fps=2"])
    assert chosen.train_config().learning_rate == 2e-5 and chosen.policy.fps == 2
    assert chosen.run_dir.name == "mine"
