"""The gpu profile without a GPU: a hub with small weights, read by the real clients, and the recipe
under the caps of the book.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from obvlib import recipes
from tests.hub_server import Hub

ROOT = Path(__file__).resolve().parent.parent
# Clients read their settings when they are imported, so each part runs in a process of its own.
MAKE = """
import sys
from pathlib import Path
from obvlib.core.jsonl import write_rows
from profile_hub import make_models
from profile_videos import Copy, surgery_rows, training_rows
home, rows = map(Path, sys.argv[1:])
make_models(home, True)
one = {"folder": rows, "max_s": 3600.0}
copies = [Copy(lecture="mini01", video_id="lecture-000", **one)]
write_rows(rows / "train.jsonl", training_rows(copies))
copies = [Copy(lecture="mini17", video_id="surgery-000", **one)]
write_rows(rows / "test.jsonl", surgery_rows(copies))
"""
USE = """
import json, warnings
warnings.simplefilter("ignore")
import numpy as np
from obvlib import recipes
from obvlib.encoders.pictures import picture_encoder
from obvlib.encoders.speech import recogniser
from obvlib.manifests import load_examples, load_rows
recipe = recipes.recipe()
clips, problems = load_rows(recipe.dataset)
bundle = recipes.load_model(recipe)
encoder = picture_encoder(recipe.frame_encoder)
size = encoder.input_size(720, 1280)
maps = encoder.maps(np.zeros((2, *size, 3), np.uint8))
model = recogniser(recipe.speech_model)
print(json.dumps({
    "clips": len(clips), "problems": [p.reason for p in problems],
    "questions": [len(load_examples(b, limit=recipe.questions)) for b in recipe.benchmarks],
    "tokens": len(bundle.tokenizer), "maps": [one.shape[2:] for one in maps], "size": size,
    "words": len(model.hear(model.encode(np.zeros(16000, "f4")), "en").text.split()),
}))
"""


def run(script, env, *arguments):
    """Run a script in a fresh process; return the last line that it printed."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=420)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


def test_caps_hold_inside_a_build_of_the_book_and_nowhere_else(monkeypatch):
    monkeypatch.delenv("OBV_BOOK_RUN", raising=False)
    chosen = recipes.recipe("gpu")
    assert (chosen.limit, chosen.questions, chosen.evaluation.max_new_tokens) == (500, None, 64)
    monkeypatch.setenv("OBV_BOOK_RUN", "somewhere")
    capped = recipes.recipe("gpu")
    assert (capped.limit, capped.questions, capped.evaluation.max_new_tokens) == (60, 40, 16)
    assert capped.controls == ("no_visual", "reversed")
    assert recipes.recipe("mini").limit is None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hub_of_small_weights_serves_everything_that_the_profile_loads(tmp_path):
    pytest.importorskip("ctranslate2")
    home, rows = tmp_path / "home", tmp_path / "rows"
    rows.mkdir()
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests/benchmarks'}", "HF_HOME": str(home)}
    env |= {"OBV_DATA": str(tmp_path), "OBV_PROFILE": "gpu", "OBV_BOOK_RUN": str(tmp_path)}
    run(MAKE, env, home, rows)
    loop = {"video": "files/p10/p1/s1/1.mp4", "question": "Is it dark?", "answer": "yes"}
    files = {
        "OpenBiomedVid": {"train.jsonl": (rows / "train.jsonl").read_bytes()},
        "SurgeryVideoQA": {"test.jsonl": (rows / "test.jsonl").read_bytes()},
        "MIMICEchoQA": {"test.jsonl": json.dumps(loop).encode()},
    }
    with Hub({f"datasets/connectthapa84/{name}": f for name, f in files.items()}) as (url, asked):
        env |= {"HF_ENDPOINT": url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
        said = json.loads(run(USE, env))
    assert said["clips"] == 2 and "9.0" in said["problems"][0] and len(said["problems"]) == 1
    assert 0 < said["questions"][0] <= 40 and said["questions"][1] == 1
    assert said["tokens"] == 151_657 and said["words"] > 0
    assert said["maps"] == [[side // 16 for side in said["size"]]] * 2
    assert not any(name.startswith("models/") for name in asked)  # the cache holds them
