"""A benchmark's evaluation as a folder that holds all that is needed to recompute it.

about.json           benchmark, model, settings, fingerprint, provenance
examples.jsonl       what was asked
predictions.jsonl    raw responses (see obvlib.evaluation.answer_file)
verdicts.jsonl       how they were read; the verdicts before are kept when they change
controls/<name>/     the same files for each control
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obvlib.core import Example, Prediction, Provenance, Verdict, ranks
from obvlib.core.files import replacing
from obvlib.core.jsonl import read_object
from obvlib.core.locations import local_dir
from obvlib.core.records import read_jsonl, write_jsonl
from obvlib.engine import claimed
from obvlib.evaluation.answer_file import read_answers
from obvlib.evaluation.controls import concerned, controlled
from obvlib.evaluation.fingerprints import hashed
from obvlib.evaluation.predictions import EvalConfig, fingerprint, predict
from obvlib.evaluation.visuals import NamedReader, ReadVisuals, visuals_reader
from obvlib.scoring import score_all

if TYPE_CHECKING:
    from obvlib.models import Bundle

ABOUT, EXAMPLES, VERDICTS = "about.json", "examples.jsonl", "verdicts.jsonl"
PREDICTIONS = "predictions.jsonl"
NOTES = ("", ".made_by", ".seen")  # what is kept beside the predictions
SCORED = ("ok", "failed")  # the other states are outside the score, and counted
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One run of a benchmark, or of one of its controls."""

    about: dict[str, Any]
    examples: list[Example]
    predictions: list[Prediction]
    verdicts: list[Verdict]  # of the answered and the failed
    controls: dict[str, Evaluation] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)  # ids answered, but not among the examples

    @property
    def states(self) -> dict[str, int]:
        """Return how many examples have each status, every status named."""
        counts = Counter(prediction.status for prediction in self.predictions)
        return {name: counts[name] for name in ("ok", "failed", "away", "not_obtained")}

    @property
    def is_complete(self) -> bool:
        """Return whether nothing is away for the moment, and no answer was lost."""
        return not self.states["away"] and len(self.predictions) == len(self.examples)

    def reasons(self) -> list[tuple[str, int]]:
        """Return why examples have no answer, the most frequent reason first; file names are left
        out.
        """
        return Counter(
            f"{p.status}: {_without_names(p.reason)}" for p in self.predictions if p.status != "ok"
        ).most_common()


def evaluate(
    bundle: Bundle,
    examples: Sequence[Example],
    out_dir: Path,
    config: EvalConfig,
    *,
    controls: Sequence[str] = (),
    read: ReadVisuals | None = None,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Answer a benchmark and its controls, score both, and keep all of it in `out_dir`.

    A stopped run continues; ValueError for what `predict` refuses, and for a folder that holds
    files of another command or of somebody's. A control that concerns none of the examples is left
    out.
    """
    if not examples:
        raise ValueError("no examples to evaluate: check that the benchmark's rows could be read")
    reader: Any = read if read is not None else visuals_reader(config.policy)
    if not hasattr(reader, "identity"):
        reader = NamedReader(reader)
    bundle = hashed(bundle)
    about = {
        "benchmark": examples[0].benchmark,
        "model": bundle.name,
        "revision": bundle.revision,
        "settings": {
            "policy": config.policy.to_dict(),
            "max_new_tokens": config.max_new_tokens,
            "max_prompt_tokens": config.max_prompt_tokens,
        },
        "fingerprint": fingerprint(bundle, config),
        "provenance": Provenance.collect(seed=0).to_dict(),
    }
    asked = [("", list(examples), reader)]
    asked += [
        (name, *controlled(name, examples, reader))
        for name in controls
        if concerned(name, examples)
    ]
    with ranks.first_alone(_owned, local_dir(out_dir), [name for name, *_ in asked]):
        for name, some, how in asked:
            folder = out_dir / "controls" / name if name else out_dir
            predictions = predict(
                bundle, some, folder / PREDICTIONS, config, read=how, on_progress=on_progress
            )
            _keep(folder, about | {"control": name}, some, predictions)
    return load_evaluation(out_dir)


@contextmanager
def _owned(folder: Path, controls: Sequence[str]) -> Iterator[None]:
    """Hold the folder for this run alone; ValueError where a file is there that is not ours."""
    made = (ABOUT, EXAMPLES, VERDICTS, *(f"{PREDICTIONS}{ending}" for ending in NOTES))
    names = [f"controls/{name}/{file}" if name else file for name in controls for file in made]
    with claimed(folder, "obv evaluate", {}) as claim:
        if not claim.names and (folder / f"{PREDICTIONS}.made_by").is_file():
            claim.names |= _of_an_earlier_version(folder, names)
        claim.require(names)
        yield


def _of_an_earlier_version(folder: Path, names: Sequence[str]) -> set[str]:
    """Return those of the files that belong to an evaluation, in a folder that says it is one."""
    try:
        read_object(folder / ABOUT, "fingerprint")
    except (OSError, ValueError):
        return set()
    return set(names)


def scored(examples: Iterable[Example], predictions: Iterable[Prediction]) -> list[Verdict]:
    """Return verdicts of what was answered or failed; what was not obtained or is away has none."""
    inside = {p.example_id: p for p in predictions if p.status in SCORED}
    return score_all([e for e in examples if e.example_id in inside], inside.values())


def load_evaluation(folder: Path) -> Evaluation:
    """Read a run's folder back, with the controls in it. FileNotFoundError where there is none,
    ValueError where a file of it is damaged.
    """
    run = _without_verdicts(folder)
    if not (folder / VERDICTS).is_file():
        raise FileNotFoundError(f"{folder / VERDICTS} is not there: run `obv rescore {folder}`")
    controls = {
        path.parent.name: load_evaluation(path.parent)
        for path in sorted(folder.glob(f"controls/*/{ABOUT}"))
    }
    return replace(run, verdicts=read_jsonl(folder / VERDICTS, Verdict), controls=controls)


def _without_verdicts(folder: Path) -> Evaluation:
    if not (folder / ABOUT).is_file():
        raise FileNotFoundError(f"{folder} holds no evaluation: run `obv evaluate` into it first")
    about = read_object(folder / ABOUT, "benchmark")
    is_there = (folder / EXAMPLES).is_file()
    examples = read_jsonl(folder / EXAMPLES, Example) if is_there else []
    if not examples:
        raise ValueError(
            f"{folder / EXAMPLES} holds no question: run `obv evaluate` into the folder again;"
            " what was answered is not asked again"
        )
    by_id = {p.example_id: p for p in read_answers(folder / PREDICTIONS)}
    return Evaluation(
        about=about,
        examples=examples,
        predictions=[by_id[e.example_id] for e in examples if e.example_id in by_id],
        verdicts=[],
        others=sorted(by_id.keys() - {e.example_id for e in examples}),
    )


@dataclass(frozen=True, kw_only=True)
class Change:
    """A question whose verdict is another than before."""

    example_id: str
    control: str
    response: str
    before: Verdict | None
    after: Verdict | None


def rescore(folder: Path) -> list[Change]:
    """Read and judge the kept responses again, without the model; return what changed.

    Where anything did, the verdicts before stay beside the new ones, damaged ones as they are.
    Verdicts of a judge are left as they are: judging is another command's work.
    """
    changes = []
    for path in [folder, *(about.parent for about in sorted(folder.glob(f"controls/*/{ABOUT}")))]:
        kept = _without_verdicts(path)
        after = {v.example_id: v for v in scored(kept.examples, kept.predictions)}
        before = _readable_verdicts(path / VERDICTS)
        after |= {n: v for n, v in before.items() if v.rule.startswith("judge") and n in after}
        responses = {p.example_id: p.response for p in kept.predictions}
        found = [
            Change(
                example_id=name,
                control=kept.about.get("control", ""),
                response=responses.get(name, ""),
                before=before.get(name),
                after=after.get(name),
            )
            for name in dict.fromkeys([*before, *after])
            if before.get(name) != after.get(name)
        ]
        if found or not (path / VERDICTS).is_file():
            replace_rows(path / VERDICTS, list(after.values()))
        changes += found
    return changes


def _readable_verdicts(path: Path) -> dict[str, Verdict]:
    """Return the verdicts by their example; none where the file is damaged or not there."""
    with suppress(ValueError, FileNotFoundError):
        return {v.example_id: v for v in read_jsonl(path, Verdict)}
    return {}


def _keep(
    folder: Path,
    about: dict[str, Any],
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
) -> None:
    """Write what a folder holds beside the predictions, each file whole or not at all."""
    write_jsonl(folder / EXAMPLES, examples)
    replace_rows(folder / VERDICTS, scored(examples, predictions))
    with replacing(folder / ABOUT) as partial:
        partial.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def replace_rows(path: Path, rows: Sequence[Any]) -> None:
    """Write rows of one kind; other ones that are there are kept under the time of their
    replacement, damaged ones as they are.
    """
    if path.is_file() and (before := path.read_bytes()):
        with suppress(ValueError):
            if rows and read_jsonl(path, type(rows[0])) == list(rows):
                return
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        path.with_name(f"{path.stem}.until_{now}{path.suffix}").write_bytes(before)
    write_jsonl(path, rows)


def _without_names(reason: str) -> str:
    """Return a reason without the words that look like paths, so that equal reasons count
    together.
    """
    words = (word for word in reason.split() if "/" not in word and "\\" not in word)
    return " ".join(words)[:160]
