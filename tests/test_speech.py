"""Words that were really said, words of sidecar files, and which segment they belong to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from obvlib.core import Word
from obvlib.curation import assign_words, read_captions
from obvlib.curation.sidecars import language_of
from obvlib.curation.speech import (
    WINDOW_S,
    Span,
    SpeechSettings,
    checked_words,
    chunks,
    heard_best,
    levelled,
    played_at,
    spoken_language,
    timed,
    voiced_spans,
)
from obvlib.curation.words import without_repeats
from obvlib.encoders.speech import MAX_SOUND_S, SAMPLE_RATE, Encoded, Heard

SETTINGS = SpeechSettings()


def word(text, start_s, end_s):
    return Word(text=text, start_s=start_s, end_s=end_s)


def texts(words):
    return [w.text for w in words]


def test_voice_begins_high_and_ends_low():
    probabilities = np.array([0.1] * 5 + [0.4] * 5 + [0.9] * 10 + [0.1] * 5 + [0.4] * 20)
    (span,) = voiced_spans(probabilities, SETTINGS)
    assert span == pytest.approx((5 * WINDOW_S, 20 * WINDOW_S))
    assert voiced_spans(np.zeros(0), SETTINGS) == []
    assert voiced_spans(np.full(3, 0.9), SETTINGS) == []  # a click


def test_chunks_join_pauses_and_cut_what_is_too_long_where_the_voice_is_weakest():
    spans, voice = [Span(0, 5), Span(6, 10), Span(20, 21)], np.full(2000, 0.9)
    settings = SpeechSettings(max_chunk_s=28.0, speeds=(1.0,))
    assert chunks(spans, voice, settings) == [Span(0, 10), Span(20, 21)]
    for weak_s in (19.0, 21.0, 23.5):
        voice[:] = 0.9
        voice[round(weak_s / WINDOW_S) - 3 : round(weak_s / WINDOW_S) + 3] = 0.6
        found = chunks([Span(0, 64)], voice, settings)
        assert max(c.end_s - c.start_s for c in found) <= settings.max_chunk_s
        assert (found[0].start_s, found[-1].end_s) == (0, 64)
        assert [c.start_s for c in found[1:]] == [c.end_s for c in found[:-1]]
        assert min(abs(c.end_s - weak_s) for c in found) < 3 * WINDOW_S


def test_quiet_and_loud_speech_are_heard_at_the_same_level():
    rng = np.random.default_rng(0)
    sound = np.concatenate([np.zeros(16_000), rng.normal(0, 0.1, 16_000)]).astype(np.float32)
    spans = [Span(1.0, 2.0)]
    for gain in (0.001, 1.0, 5.0):
        heard = levelled(sound * np.float32(gain), spans, -20.0)
        assert heard.dtype == np.float32 and abs(heard).max() <= 1
        assert np.sqrt(np.mean(heard[16_000:] ** 2)) == pytest.approx(0.1, rel=0.01)
        assert not heard[:16_000].any()
    assert levelled(sound, [], -20.0) is sound
    assert not levelled(np.zeros(10, np.float32), [Span(0, 1)], -20.0).any()


@dataclass(frozen=True)
class Hearings:
    """Hears one thing at every speed, from the fastest to the slowest, and counts the times."""

    heard: tuple[Heard, ...]
    lengths: list[int] = field(default_factory=list)

    def encode(self, sound):
        self.lengths.append(len(sound))
        return Encoded(states=None, num_frames=len(sound) // 160)

    def hear(self, sound, language):
        assert language == "en"
        return self.heard[len(self.lengths) - 1]


def test_what_is_heard_without_certainty_is_heard_again_slower():
    def heard(log_probability, text="heart", compression=1.0):
        return Heard(text=text, log_probability=log_probability, compression=compression)

    def best(*at_speeds):
        model = Hearings(at_speeds)
        found = heard_best(np.zeros(16_000, np.float32), "en", model, SETTINGS)
        assert model.lengths == [16_000, 17_778, 18_824][: len(model.lengths)]
        return found.speed, len(model.lengths)

    assert best(heard(-0.1), heard(-0.05), heard(-0.05)) == (1.0, 1)  # sure: never heard again
    assert best(heard(-0.6), heard(-0.15), heard(-0.1)) == (0.9, 2)
    assert best(heard(-0.6), heard(-0.5), heard(-0.4)) == (0.85, 3)
    assert best(heard(-0.6), heard(-0.7), heard(-0.65)) == (1.0, 3)  # the surest of all
    assert best(heard(-0.6), heard(-0.1, compression=9.0), heard(-0.7)) == (1.0, 3)  # a loop
    assert best(heard(-0.1, compression=9.0), heard(-0.7), heard(-0.8)) == (0.9, 3)
    assert best(heard(0.0, text=""), heard(-0.7), heard(-0.8)) == (0.9, 3)


def test_a_chunk_played_at_the_slowest_speed_fits_what_is_heard_at_once():
    slowest = min(SETTINGS.speeds)
    sound = np.zeros(round(SETTINGS.max_chunk_s * SAMPLE_RATE), np.float32)
    assert len(played_at(sound, slowest)) <= MAX_SOUND_S * SAMPLE_RATE
    with pytest.raises(ValueError, match="max_chunk_s is 28"):
        SpeechSettings(max_chunk_s=28)
    with pytest.raises(ValueError, match="speeds"):
        SpeechSettings(speeds=())


def test_a_word_heard_slower_is_timed_as_it_was_said():
    assert timed(word("heart", 1.0, 2.0), 10.0, 0.9) == word("heart", 10.9, 11.8)


@dataclass(frozen=True)
class Guesses:
    """Says which language it hears, and how sure it is."""

    language: str
    probability: float
    is_multilingual: bool = True

    def language_of(self, _sound):
        return self.language, self.probability


def test_a_language_that_is_only_guessed_is_not_believed():
    sound = Encoded(states=None, num_frames=10)
    for model, language in [
        (Guesses("de", 0.9), "de"),
        (Guesses("fi", 0.3), "en"),
        (Guesses("la", 0.6), "en"),  # as of a lecture full of Latin words
        (Guesses("", 0.0, is_multilingual=False), "en"),
    ]:
        assert spoken_language(sound, model, SETTINGS) == language
    assert spoken_language(sound, Guesses("fi", 0.3), SpeechSettings(languages=())) == "fi"


def test_words_in_silence_go_and_stretched_ones_are_cut_back():
    words = [word("You", 1.0, 1.5), word("the", 4.0, 5.3), word("heart", 5.3, 9.0)]
    kept, flags = checked_words(words, [Span(5.0, 6.0)], SETTINGS)
    assert texts(kept) == ["the", "heart"]
    assert (kept[0].start_s, kept[1].end_s) == (4.8, 6.2)
    assert flags == {"in silence": 1, "cut back": 1}
    assert checked_words(words, [], SETTINGS) == ([], {"in silence": 3})


def test_a_word_timed_into_the_pause_beside_a_voice_is_kept():
    spans = [Span(1.0, 2.0), Span(2.4, 3.0)]
    kept, flags = checked_words(
        [word("leads.", 1.5, 2.0), word("We", 2.1, 2.2), word("it", 2.9, 2.9)], spans, SETTINGS
    )
    assert texts(kept) == ["leads.", "We", "it"] and flags == {}
    assert (kept[1].start_s, kept[1].end_s) == (2.1, 2.2)
    far, flags = checked_words([word("You", 0.2, 0.7)], spans, SETTINGS)
    assert far == [] and flags == {"in silence": 1}


def test_words_never_overlap():
    words = [word("a", 0.0, 0.5), word("b", 0.3, 0.4), word("c", 0.2, 0.9)]
    kept, _ = checked_words(words, [Span(0, 1)], SETTINGS)
    assert all(a.end_s <= b.start_s for a, b in zip(kept, kept[1:], strict=False))


def test_loops_are_left_out_and_sentences_are_not():
    assert texts(without_repeats([word("You", i, i + 0.5) for i in range(6)], 3)) == ["You"]
    loop = [word(t, i, i + 0.5) for i, t in enumerate(["thank", "you"] * 5)]
    assert len(without_repeats(loop, 3)) == 2
    said = [word(t, i, i + 0.5) for i, t in enumerate("the very very small lesion".split())]
    assert without_repeats(said, 3) == said


def test_every_word_belongs_to_one_segment():
    words = [word("a", 0, 1), word("b", 0.9, 1.3), word("c", 1.8, 2.4), word("d", 9, 9.5)]
    found = assign_words(words, [(0.0, 1.0), (1.0, 2.1)])
    assert [texts(said) for said in found] == [["a"], ["b"]]
    assert assign_words([], [(0, 1)]) == [()]
    with pytest.raises(ValueError, match=r"segments\[1\] begins at 0.5 s"):
        assign_words(words, [(0, 1), (0.5, 2)])


def test_srt_words_are_spread_by_length(tmp_path):
    path = tmp_path / "a.en-US.srt"
    path.write_text("1\n00:00:01,000 --> 00:00:03,000\n<i>The heart</i> [Music]\n\n")
    assert read_captions(path) == [word("The", 1.0, 1.8), word("heart", 1.8, 3.0)]
    assert language_of(path) == "en"


def test_automatic_captions_repeat_lines_and_time_words(tmp_path):
    path = tmp_path / "a.vtt"
    path.write_text(
        "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n \nhere<00:00:00.500><c> we</c>\n\n"
        "00:00:02.000 --> 00:00:02.010\nhere we\n\n"
        "00:00:02.010 --> 00:00:04.000\nhere we\nsee<00:00:03.000><c> it</c>\n"
    )
    found = read_captions(path)
    assert texts(found) == ["here", "we", "see", "it"]
    assert (found[1].start_s, found[3].start_s) == (0.5, 3.0)


def test_rolling_lines_without_word_times_are_said_once(tmp_path):
    path = tmp_path / "a.vtt"
    path.write_text(
        "WEBVTT\n\n00:01.000 --> 00:02.000\none two\n\n00:02.000 --> 00:03.000\none two\nthree\n"
    )
    assert texts(read_captions(path)) == ["one", "two", "three"]


def test_files_in_latin_1_and_damaged_ones_in_utf_8_are_read(tmp_path):
    path, cue = (
        tmp_path / "a.srt",
        "00:00:01,000 --> 00:00:03,000\nM\u00fcller's \u201cc\u0153ur\u201d\n",
    )
    path.write_bytes("00:00:01,000 --> 00:00:03,000\nM\u00fcller \u00e9\n".encode("latin-1"))
    assert texts(read_captions(path)) == ["M\u00fcller", "\u00e9"]
    path.write_bytes(cue.encode() + b"cut \xe2\x80\n")
    assert texts(read_captions(path))[:2] == ["M\u00fcller's", "\u201cc\u0153ur\u201d"]


@pytest.mark.parametrize("data", [b"", b"<html>no</html>", b"\xff\xfe\0\0", b"WEBVTT\n\n1:2 --> x"])
def test_a_file_without_cues_is_refused_by_name(tmp_path, data):
    path = tmp_path / "broken.vtt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"broken\.vtt holds no cue"):
        read_captions(path)
