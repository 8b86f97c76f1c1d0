"""Have the sentences spoken and heard, and fit the rules on them: `python fit.py [--hear]`.

`sentences.tsv` holds a sentence a line: its author label, its kind, the words, and, where a
recogniser heard something else, what it heard. With --hear, sentences that were not heard yet are
spoken by the voices of the mini corpus (espeak-ng, which is then needed) and heard at one speed.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from obvlib.curation.relevance import Rules, fit_rules, labelled_sentences, rules_file
from obvlib.curation.speech import SpeechSettings, transcribe
from obvlib.encoders.speech import recogniser
from obvlib.encoders.voices import voice_probabilities

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "mini" / "make"))
from lectures import VOICES
from narration import SAMPLE_RATE, speak

SENTENCES = rules_file().with_name("sentences.tsv")
WORDS_PER_MINUTE = (155, 170, 185)  # in turn
PAUSES_S = (0.3, 0.5)  # before and after a sentence


def heard_of(said: str, number: int) -> str:
    """Return what the recogniser heard of a sentence; "" where it is the same or nothing."""
    # One speed, and no guess is left out: what is misheard is wanted here.
    settings = SpeechSettings(speeds=(1.0,), min_log_probability=-3.0, max_compression=10.0)
    rate = WORDS_PER_MINUTE[number % len(WORDS_PER_MINUTE)]
    sound, _ = speak(said, voice=VOICES[number % len(VOICES)], words_per_minute=rate)
    before, after = (np.zeros(round(s * SAMPLE_RATE), np.float32) for s in PAUSES_S)
    sound = np.concatenate([before, sound, after])
    words = transcribe(sound, voice_probabilities(sound), recogniser(), settings).words
    longest = int(len(said.split()) * 1.2) + 1  # a sentence that is heard twice is cut
    text = " ".join(word.text for word in words[:longest])
    return "" if plain(text) == plain(said) else text


def plain(text: str) -> str:
    """Return a text without case and punctuation."""
    return " ".join(re.sub(r"[^a-z0-9 ]", "", text.lower()).split())


def hear() -> None:
    """Write what is heard of the sentences of which nothing was."""
    rows = []
    for number, row in enumerate(labelled_sentences()):
        heard = row.heard
        if row.label != "order" and not heard:
            heard = heard_of(row.said, number)
        rows.append("\t".join([row.label, row.kind, row.said, heard]).rstrip() + "\n")
    SENTENCES.write_text("".join(rows), encoding="utf-8")


def write(rules: Rules) -> None:
    """Write the rules, and a report beside them."""
    from safetensors.numpy import save_file

    tensors = {
        f"{name}.{field}": np.atleast_1d(np.asarray(value, np.float32))
        for name, rule in rules._asdict().items()
        for field, value in vars(rule).items()
    }
    save_file(tensors, rules_file())
    rows = labelled_sentences()
    report = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "script": "data_manifests/caption_rules/fit.py",
        "sentences_sha256": hashlib.sha256(SENTENCES.read_bytes()).hexdigest(),
        "labels": "author labels",
        "sentences": {
            label: sum(row.label == label for row in rows) for label in ("keep", "drop", "order")
        },
        "misheard": sum(bool(row.heard) for row in rows),
    }
    text = json.dumps(report, indent=2) + "\n"
    rules_file().with_suffix(".json").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    if "--hear" in sys.argv[1:]:
        hear()
    write(fit_rules(labelled_sentences()))
