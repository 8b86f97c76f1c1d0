"""The lecture videos on paper: who speaks, what is shown when, and which sources are held out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import script

from obvlib.core.frame_policy import FramePolicy
from obvlib.core.records import Clip, Word
from obvlib.mini.corpus import Part, Source
from obvlib.mini.questions import PUBLISHED_MODALITY, PUBLISHED_REGION, caption, questions
from obvlib.mini.render import Scene, draw_scene

SEED = 2026
HEIGHT, WIDTH = 240, 320  # px
VOICES = (
    *(
        "en-us+f3",
        "en-us+m3",
        "en-gb-x-rp+f2",
        "en-gb-x-rp+m3",
        "en-us+f2",
        "en-us+m1",
        "en-gb-scotland+f4",
        "en-gb-scotland+m1",
    ),
    *("en-029+f2", "en-us+m7", "en+f3", "en+m1"),
)
# before and after each part's words; imaging is never shorter
_PAUSE_S, _MIN_IMAGING_S = (0.3, 0.45), 4.6
_YES_NO = {"ct": ("chest", "head"), "microscopy": ("cultured cells",), "endoscopy": ("colon",)}


def plan_sources(seed: int = SEED) -> list[Source]:
    """All lectures, not yet spoken: 16 to train on, then 8 held out. Findings are balanced within
    each split.
    """
    rng = np.random.default_rng([seed, 1])
    looks = rng.permutation(24)
    plans = []
    for split, topics in (("train", _TRAIN_TOPICS), ("test", _TEST_TOPICS)):
        decks = _decks(split, topics, rng)
        order = rng.permutation(len(topics))
        plans += [(split, topics[i][0], decks[i]) for i in order]
    used: dict[str, int] = {}
    sources = []
    for number, (split, topic, shown) in enumerate(plans):
        title = script.TITLES[topic][used.setdefault(topic, 0)]
        used[topic] += 1
        speaker = script.SPEAKERS[number]
        sources.append(
            Source(
                video_id=f"mini{number + 1:02d}",
                split=split,
                title=title,
                speaker=speaker,
                voice=VOICES[number % len(VOICES)],
                words_per_minute=int(rng.integers(165, 186)),
                style=int(looks[number]),
                fps=(10.0, 12.5)[number % 2],
                parts=_parts(title, speaker, shown, rng, aside=number in (2, 7, 12, 19)),
            )
        )
    return sources


def with_times(source: Source, spoken: list[tuple[float, list[Word]]]) -> Source:
    """The source with its parts laid end to end: each lasts as long as its words (duration, words)
    and a pause, in whole frames.
    """
    parts, words, num_frames = [], [], 0
    for part, (spoken_s, said) in zip(source.parts, spoken, strict=True):
        wanted_s = max(spoken_s + sum(_PAUSE_S), _MIN_IMAGING_S if part.kind == "imaging" else 0)
        now_s = num_frames / source.fps
        num_frames += math.ceil(wanted_s * source.fps)
        parts.append(replace(part, start_s=now_s, end_s=num_frames / source.fps))
        shift_s = now_s + _PAUSE_S[0]
        words += [
            Word(
                text=w.text,
                start_s=round(w.start_s + shift_s, 3),
                end_s=round(w.end_s + shift_s, 3),
            )
            for w in said
        ]
    return replace(source, parts=tuple(parts), words=tuple(words))


def shown_times(part: Part, fps: float) -> np.ndarray:
    """The times of the frames that a policy sees of a part: a file of `fps` shows at each time the
    frame that came on before it.
    """
    times_s = FramePolicy.mini().sample_times(part.end_s - part.start_s)
    return np.floor(times_s * fps + 1e-6) / fps


def part_scene(part: Part, fps: float) -> tuple[Scene, np.random.Generator]:
    """The scene of an imaging part of a lecture at `fps`, and the stream that its caption and
    questions continue from.
    """
    rng = np.random.default_rng([SEED, 2, part.seed])
    scene = draw_scene(
        rng,
        part.scene,
        part.finding,
        duration_s=part.end_s - part.start_s,
        policy_times_s=shown_times(part, fps),
        region=part.region,
        rate=part.rate,
    )
    return scene, rng


def clips_of(source: Source) -> list[Clip]:
    """The imaging parts that their words describe, as rows: true times, raw transcript, clean
    caption, questions, modality, region.
    """
    clips = []
    for part in source.parts:
        if part.kind != "imaging" or not part.observable:
            continue
        scene, rng = part_scene(part, source.fps)
        inside = [w.text for w in source.words if part.start_s <= w.start_s < part.end_s]
        clips.append(
            Clip(
                video_id=source.video_id,
                start_s=part.start_s,
                end_s=part.end_s,
                dataset="mini",
                split=source.split,
                caption=caption(scene.truth, rng),
                transcript=" ".join(inside),
                modality=PUBLISHED_MODALITY[scene.truth.kind],
                region=PUBLISHED_REGION[scene.truth.region],
                qa_pairs=questions(scene.truth, rng),
            )
        )
    return clips


_TRAIN_TOPICS = (
    *[("echo", 3)] * 6,
    ("ct", 3),
    ("ct", 2),
    ("ct", 2),
    *[("microscopy", 3), ("microscopy", 2), ("microscopy", 2)],
)
_TRAIN_TOPICS += (("endoscopy", 3), ("endoscopy", 2), ("endoscopy", 2), ("mixed", 3))
_TEST_TOPICS = (*[("echo", 3)] * 4, ("ct", 3), ("microscopy", 3), ("endoscopy", 3), ("mixed", 3))


def _decks(
    split: str, topics: tuple[tuple[str, int], ...], rng: np.random.Generator
) -> list[list[tuple[str, str, str]]]:
    """For each lecture what its imaging parts show: (scene, finding, region). Echo lectures show
    all three classes, in any order; the others deal from a deck with as many yes as no.
    """
    kinds = [
        ["ct", "microscopy", "endoscopy"] if topic == "mixed" else [topic] * num
        for topic, num in topics
    ]
    dealt = {}
    for kind, regions in _YES_NO.items():
        num = sum(shown.count(kind) for shown in kinds)
        cards = [(kind, ("yes", "no")[i % 2], regions[i // 2 % len(regions)]) for i in range(num)]
        dealt[kind] = [cards[i] for i in rng.permutation(num)]
    classes = ("normal", "mildly reduced", "severely reduced")
    decks = []
    for shown in kinds:
        order = rng.permutation(3)
        decks.append(
            [
                ("echo", classes[order[i]], "heart") if kind == "echo" else dealt[kind].pop()
                for i, kind in enumerate(shown)
            ]
        )
    return decks


def _parts(
    title: str, speaker: str, shown: list, rng: np.random.Generator, *, aside: bool
) -> tuple[Part, ...]:
    """Title, speaker, then imaging with the speaker in between; `aside` adds a segment over which
    the lecturer talks of something else.
    """
    parts = [
        Part(kind="title", text=script.pick(script.WELCOMES, rng).format(title=title)),
        Part(kind="speaker", text=script.pick(script.INTRODUCTIONS, rng).format(name=speaker)),
    ]
    rates = rng.permutation(["slow", "normal", "fast"])
    shown = [(card, True) for card in shown]
    if aside:
        shown.insert(int(rng.integers(1, len(shown))), (shown[0][0], False))
    for i, ((scene, finding, region), observable) in enumerate(shown):
        if i:
            parts.append(Part(kind="speaker", text=script.pick(script.BRIDGES, rng)))
        text = (
            script.narration(region, finding, rng)
            if observable
            else script.pick(script.UNOBSERVABLE, rng)
        )
        parts.append(
            Part(
                kind="imaging",
                text=text,
                seed=int(rng.integers(2**31)),
                scene=scene,
                finding=finding,
                region=region,
                rate=str(rates[i % 3]) if scene == "echo" else "",
                observable=observable,
            )
        )
    parts.append(Part(kind="speaker", text=script.pick(script.FAREWELLS, rng)))
    return tuple(parts)
