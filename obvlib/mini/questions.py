"""Captions and questions about a drawn clip, all decided by its ground truth.

Closed questions show lettered options in a seeded order and are answered by the letter; yes/no
questions by the word; the open family ("finding") by a short phrase. The phrases share no content
words with one another, so that word overlap can tell them apart.
"""

from __future__ import annotations

import numpy as np

from obvlib.core import QAPair
from obvlib.mini.render import Truth

FAMILIES = (
    "modality",
    "region",
    "ejection_fraction",
    "heart_rate",
    "lesion",
    "division",
    "polyp",
    "finding",
)
MODALITIES = {
    "echo": "Echocardiography",
    "ct": "CT scan",
    "microscopy": "Microscopy",
    "endoscopy": "Endoscopy",
}
REGIONS = ("heart", "chest", "head", "colon", "cultured cells")
EF_CLASSES = ("normal", "mildly reduced", "severely reduced")
RATE_CLASSES = ("slow", "normal", "fast")
YES_NO_FAMILY = {"ct": "lesion", "microscopy": "division", "endoscopy": "polyp"}

# The names that the published dataset uses for a clip's modality and region.
PUBLISHED_MODALITY = {
    "echo": "Echocardiography",
    "ct": "CT Imaging",
    "microscopy": "Microscopy",
    "endoscopy": "Endoscopy and Laparoscopic Surgery",
}
PUBLISHED_REGION = {
    "heart": "Cardiac",
    "chest": "Thoracic and Respiratory System",
    "head": "Cranial and Nervous System",
    "colon": "Gastrointestinal System",
    "cultured cells": "Other",
}

_WORDINGS = {
    "modality": (
        "Which imaging modality is this?",
        "How were these images made?",
        "What kind of imaging does the clip show?",
        "Which technique produced this video?",
    ),
    "region": (
        "Which part of the body is shown?",
        "What is being imaged?",
        "Where in the body was this taken?",
        "Which anatomical region does the clip show?",
    ),
    "ejection_fraction": (
        "How is the ejection fraction of the left ventricle?",
        "How well does the left ventricle empty with each beat?",
        "What is the ejection fraction class?",
        "How would you grade the left ventricular ejection fraction?",
    ),
    "heart_rate": (
        "How fast does the heart beat?",
        "What is the heart rate class?",
        "How would you grade the heart rate?",
    ),
    "lesion": (
        "Is there a lesion?",
        "Does any slice show a lesion?",
        "Can a lesion be seen in this scan?",
    ),
    "division": (
        "Does a cell divide?",
        "Is there a cell division in this clip?",
        "Can a dividing cell be seen?",
    ),
    "polyp": (
        "Is there a polyp?",
        "Does the wall carry a polyp?",
        "Can a polyp be seen in this clip?",
    ),
    "scroll_direction": (
        "Which way does the scan scroll?",
        "In which direction do the slices pass?",
    ),
    "fold_direction": (
        "Which way do the folds of the wall move?",
        "Where do the folds move as the clip goes on?",
    ),
    "order": ("Which of the two is shown first?", "Which does the clip begin with?"),
    "finding": (
        "What does the clip show?",
        "What is the main finding?",
        "Describe the finding in a few words.",
    ),
}

_FINDINGS = {
    ("heart", "normal"): "a vigorously contracting ventricle",
    ("heart", "mildly reduced"): "a somewhat sluggish heartbeat",
    ("heart", "severely reduced"): "barely moving heart muscle",
    ("chest", "yes"): "a solid lung nodule",
    ("chest", "no"): "clear airways on both sides",
    ("head", "yes"): "bleeding inside the brain",
    ("head", "no"): "normal symmetric hemispheres",
    ("cultured cells", "yes"): "one cell splitting into two daughters",
    ("cultured cells", "no"): "a quiet layer without mitosis",
    ("colon", "yes"): "a pale polyp on the wall",
    ("colon", "no"): "smooth healthy lining",
}

_OPENINGS = {
    "heart": (
        "Apical four-chamber view of a beating heart.",
        "Echocardiogram of the four chambers of the heart.",
    ),
    "chest": (
        "Scroll through axial CT slices of the chest.",
        "CT scan of the chest, slice by slice.",
    ),
    "head": ("Scroll through axial CT slices of the head.", "CT scan of the head, slice by slice."),
    "cultured cells": (
        "Time-lapse microscopy of cultured cells.",
        "Phase contrast microscopy of a layer of living cells.",
    ),
    "colon": (
        "Endoscopic view along the colon.",
        "Colonoscopy: the camera looks along the folds of the colon.",
    ),
}
_FINDING_SENTENCES = {
    (
        "heart",
        "normal",
    ): "The left ventricle contracts vigorously; its ejection fraction is normal.",
    (
        "heart",
        "mildly reduced",
    ): "The left ventricle contracts less than it should; its ejection fraction is mildly reduced.",
    (
        "heart",
        "severely reduced",
    ): "The left ventricle barely contracts; its ejection fraction is severely reduced.",
    ("chest", "yes"): "A solid nodule appears in one lung and fades again as the slices pass.",
    ("chest", "no"): "Both lungs are clear; no lesion is seen.",
    ("head", "yes"): "A bright bleed with a darker rim lies in one hemisphere.",
    ("head", "no"): "Both hemispheres look alike; no lesion is seen.",
    ("cultured cells", "yes"): "One cell rounds up, turns bright and divides into two daughters.",
    ("cultured cells", "no"): "The cells crawl a little; none of them divides.",
    ("colon", "yes"): "A pale polyp stands out from the wall.",
    ("colon", "no"): "The lining is smooth; no polyp is seen.",
}


def caption(truth: Truth, rng: np.random.Generator) -> str:
    """Return a clean description: what kind of clip, then what it shows."""
    opening = _OPENINGS[truth.region]
    return (
        f"{opening[rng.integers(len(opening))]} {_FINDING_SENTENCES[truth.region, truth.finding]}"
    )


def questions(truth: Truth, rng: np.random.Generator) -> tuple[QAPair, ...]:
    """Return every question that applies to the clip, one per family, each in one of its
    wordings.
    """
    pairs = [
        closed("modality", MODALITIES[truth.kind], tuple(MODALITIES.values()), rng),
        closed("region", truth.region, _four_of(REGIONS, truth.region, rng), rng),
    ]
    if truth.kind == "echo":
        pairs.append(closed("ejection_fraction", truth.finding, EF_CLASSES, rng))
        pairs.append(closed("heart_rate", truth.heart_rate, RATE_CLASSES, rng))
    else:
        family = YES_NO_FAMILY[truth.kind]
        pairs.append(QAPair(question=_wording(family, rng), answer=truth.finding, family=family))
    pairs.append(
        QAPair(
            question=_wording("finding", rng),
            answer=_FINDINGS[truth.region, truth.finding],
            family="finding",
        )
    )
    return tuple(pairs)


def finding_sentence(truth: Truth) -> str:
    """Return the sentence a narrator would say about the finding."""
    return _FINDING_SENTENCES[truth.region, truth.finding]


def closed(family: str, answer: str, choices: tuple[str, ...], rng: np.random.Generator) -> QAPair:
    """Return a question with `choices` in a random order as its lettered options."""
    shown = [choices[i] for i in rng.permutation(len(choices))]
    options = {"ABCDEFGH"[i]: text for i, text in enumerate(shown)}
    letter = next(letter for letter, text in options.items() if text == answer)
    return QAPair(question=_wording(family, rng), answer=letter, options=options, family=family)


def _four_of(choices: tuple[str, ...], answer: str, rng: np.random.Generator) -> tuple[str, ...]:
    others = [c for c in choices if c != answer]
    return (answer, *(others[i] for i in rng.permutation(len(others))[:3]))


def _wording(family: str, rng: np.random.Generator) -> str:
    wordings = _WORDINGS[family]
    return wordings[rng.integers(len(wordings))]
