"""What the lecturers say. Imaging is narrated as people do, with fillers; everything else names
nothing that could be seen.
"""

from __future__ import annotations

import numpy as np

TITLES = {
    "echo": (
        "Reading the Beating Heart",
        "Ejection Fraction by Eye",
        "Apical Views for Beginners",
        "How Well Does It Squeeze?",
        "Good, Fair, Poor: the Left Ventricle",
        "Echo in a Nutshell",
        "Bedside Echo",
        "Grading the Left Ventricle",
        "The Four-Chamber View",
        "Heart Function at a Glance",
    ),
    "ct": (
        "Scrolling Through CT",
        "Chest and Head CT Basics",
        "Nodules and Bleeds",
        "CT Cases of the Week",
    ),
    "microscopy": (
        "Cells in Time Lapse",
        "Watching Mitosis",
        "Phase Contrast Explained",
        "Live Cell Imaging",
    ),
    "endoscopy": (
        "Inside the Colon",
        "Spotting Polyps",
        "Colonoscopy Basics",
        "Screening Colonoscopy",
    ),
    "mixed": ("Four Ways to Look Inside", "A Tour of Medical Imaging"),
}
SPEAKERS = tuple(
    "Ada Rivera,Ben Okafor,Chloe Lindgren,Daniel Haddad,Elena Petrova,Femi Adeyemi,Grace"
    " Nakamura,Hugo Moreau,Ines Costa,Jonas Weber,Kavya Rao,Liam Byrne,Mei Tanaka,Noah Cohen,Olga"
    " Novak,Pablo Ortiz,Quinn Ashby,Samir Aziz,Rosa Marino,Theo Singh,Uma Patel,Victor Lund,Wanda"
    " Kowalski,Yusuf Demir".split(",")
)
WELCOMES = (
    "Welcome to this lecture: {title}.",
    "Hello everyone. Today's topic: {title}.",
    "{title}. Thanks for joining us.",
)
INTRODUCTIONS = (
    "I am Doctor {name}. We will go through a few cases, one after the other.",
    "My name is {name}, and I have brought a few examples for you.",
    "I am {name}. Grab a coffee, and let us start with the first case.",
)
BRIDGES = (
    "Good. Let us compare that with the next one.",
    "Pause here if you like, before we go on.",
    "Here is another case from the same week.",
    "Now, keep that in mind for the next example.",
)
FAREWELLS = (
    "That is all for today. Thank you for watching.",
    "I hope this was useful. See you next time.",
    "Thanks for listening, and goodbye.",
)
UNOBSERVABLE = (
    (
        "By the way, if you like these lectures, please subscribe, and leave your questions in the"
        " comments below."
    ),
    "The exam is next Tuesday at nine in the large lecture hall, so please be there on time.",
    "Look at this one.",
    "I gave this talk in Lisbon last year, and the discussion afterwards went on until midnight.",
)
_OPENERS = {
    "heart": (
        "So, um, this is an apical four-chamber view.",
        "Okay, here we have the heart in the four-chamber view.",
        "Let us look at this echo loop of the left ventricle.",
    ),
    "chest": (
        "So here we scroll through a CT of the chest.",
        "Okay, um, these are axial slices of the chest.",
        "Now we go down through the lungs on CT.",
    ),
    "head": (
        "So here we scroll through a CT of the head.",
        "Okay, um, these are axial slices of the brain.",
        "Now a head CT, slice by slice.",
    ),
    "cultured cells": (
        "So these are living cells under phase contrast.",
        "Okay, um, this is a time lapse of cultured cells.",
        "Now we look through the microscope at a cell layer.",
    ),
    "colon": (
        "So we are now inside the colon.",
        "Okay, um, this is the endoscope looking along the colon.",
        "Now watch the wall of the colon as we move.",
    ),
}
_REMARKS = {
    ("heart", "normal"): (
        "You can see the ventricle squeezes really well, so the ejection fraction is normal.",
        "It contracts vigorously with every beat, that is a normal ejection fraction.",
    ),
    ("heart", "mildly reduced"): (
        "It does squeeze, but, you know, less than it should: mildly reduced ejection fraction.",
        "The walls move in only part of the way, so ejection fraction is mildly reduced.",
    ),
    ("heart", "severely reduced"): (
        "And the walls, well, they hardly move at all: severely reduced ejection fraction.",
        "This ventricle barely contracts, the ejection fraction is severely reduced.",
    ),
    ("chest", "yes"): (
        "And there it is, a solid nodule in the lung, bright against the dark air.",
        "Watch the lung: a round bright lesion comes up, and then fades again.",
    ),
    ("chest", "no"): (
        "Both lungs stay dark and clear, there is no lesion anywhere.",
        "We see vessels and ribs, and, um, no nodule on either side.",
    ),
    ("head", "yes"): (
        "And here, a bright bleed with a dark rim around it, in one hemisphere.",
        "Watch this side: a bright lesion appears next to the ventricles, that is blood.",
    ),
    ("head", "no"): (
        "Left and right look the same, the ventricles are fine, and there is no lesion.",
        "The two hemispheres are symmetric, um, nothing bright, no bleed.",
    ),
    ("cultured cells", "yes"): (
        "Watch this one: it rounds up, gets bright, and divides into two daughter cells.",
        "And there, you see, one cell pinches in the middle and splits in two.",
    ),
    ("cultured cells", "no"): (
        "They crawl around a little, but, um, none of them divides.",
        "The cells stay flat and quiet the whole time, there is no division.",
    ),
    ("colon", "yes"): (
        "And look at that, a pale round polyp sits right there on the wall.",
        "Here we meet a polyp, you see how it bulges out and shines.",
    ),
    ("colon", "no"): (
        "The folds pass by, the lining is smooth, and there is no polyp.",
        "Nothing but healthy folds here, um, no polyp at all.",
    ),
}


def narration(region: str, finding: str, rng: np.random.Generator) -> str:
    """What a lecturer says over an imaging segment: where we are, then what is seen."""
    return f"{pick(_OPENERS[region], rng)} {pick(_REMARKS[region, finding], rng)}"


def pick(choices: tuple[str, ...], rng: np.random.Generator) -> str:
    """One of the choices."""
    return choices[int(rng.integers(len(choices)))]
