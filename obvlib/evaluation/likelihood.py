"""Option likelihood: which option the model finds likeliest as the first token of its answer.

It needs no reading of answers, so a model that cannot keep to the form ("I think it might be …") is
not punished for it; and it costs nothing, since the prompt has been read anyway. Reported beside
the score of what was written, never in its place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from obvlib.core import Example, Prediction, Verdict
from obvlib.scoring import verdict

if TYPE_CHECKING:
    import torch

RULE = "likelihood"


def option_logprobs(
    example: Example, logits: torch.Tensor, tokenizer: Any
) -> dict[str, float] | None:
    """Return the log-probability of each option's letter, or of yes and no, as the first token;
    None for an open question. `logits`: (vocabulary,).

    A word may be written in several ways ("Yes", "yes"): their probabilities add up.
    """
    import torch

    ways = _spellings(example, tokenizer)
    if not ways:
        return None
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    return {
        name: round(float(torch.logsumexp(logprobs[ids], dim=0)), 4) for name, ids in ways.items()
    }


def likeliest(prediction: Prediction) -> str | None:
    """Return the option of the highest log-probability; None where none was kept, or two
    share it.
    """
    kept = prediction.option_logprobs or {}
    best = [name for name, value in kept.items() if value == max(kept.values())]
    return best[0] if len(best) == 1 else None


def likelihood_verdicts(
    examples: Iterable[Example], predictions: Iterable[Prediction]
) -> list[Verdict]:
    """Return one verdict for each closed or yes/no example that was answered, by likelihood
    alone.
    """
    by_id = {prediction.example_id: prediction for prediction in predictions}
    found = []
    for example in examples:
        prediction = by_id.get(example.example_id)
        if prediction is None or prediction.option_logprobs is None:
            continue
        choice = likeliest(prediction)
        found.append(
            dataclasses.replace(
                verdict(example, prediction),
                correct=choice == example.answer,
                choice=choice,
                rule=RULE if choice else f"{RULE}:tie",
            )
        )
    return found


def _spellings(example: Example, tokenizer: Any) -> dict[str, list[int]]:
    """Return the tokens that each option may begin with, single ones where it has any; {} where two
    options share one.
    """
    if example.options is not None:
        names = {letter: [letter] for letter in example.options}
    elif example.answer in ("yes", "no"):
        names = {word: [word, word.capitalize(), word.upper()] for word in ("yes", "no")}
    else:
        return {}
    ways = {}
    for name, texts in names.items():
        tokens = [ids for ids in tokenizer(texts, add_special_tokens=False)["input_ids"] if ids]
        single = [ids for ids in tokens if len(ids) == 1]
        ways[name] = sorted({ids[0] for ids in single or tokens})
    firsts = [token for tokens in ways.values() for token in tokens]
    return ways if len(set(firsts)) == len(firsts) and all(ways.values()) else {}
