"""Small pretrained parts behind one loader: pictures, texts, speech, voices and shots.

In: frames, texts or sound as arrays. Out: features, words with times, probabilities. Import what
you need from its module (`encoders.pictures`, `.texts`, `.speech`, `.voices`, `.shots`): each loads
a heavy library of its own.
"""

from obvlib.encoders.parts import PARTS, Part, part_path

__all__ = ["PARTS", "Part", "part_path"]
