"""The hub's real clients against a server on loopback: rows and weights by hub id, and every way in
which a hub refuses, in one sentence.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from obvlib.models import tiny_bundle
from tests.hub_server import SHA, Hub

ROOT = Path(__file__).resolve().parent.parent
QUESTION = {"question": "Is it dark?", "answer": "yes"}
ECHO = {"video": "files/p10/p10001/s1/1.mp4", **QUESTION}
MEDQA = {"question": "What now?", "options": {"A": "x", "B": "y"}, "answer_idx": "B"}
# A client reads HF_ENDPOINT when it is imported, so each question is asked in a fresh process.
SCRIPT = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
from obvlib import models
from obvlib.manifests import HubUnavailable, load_examples
from obvlib.manifests.hub import ask, fetch
said = {}
for name in sys.argv[1:]:
    start = time.monotonic()
    try:
        if name == "weights":
            bundle = models.load("qwen2-vl-2b-instruct")
            said[name] = [bundle.num_parameters, bundle.revision]
        elif name == "again":  # from the cache
            said[name] = len(load_examples("MIMICEchoQA"))
        elif name == "revision":
            said[name] = ask("connectthapa84/MIMICEchoQA", revision="f" * 40, repo_type="dataset")
        else:
            said[name] = len(load_examples(name))
    except HubUnavailable as error:
        said[name] = str(error)
    said[name + " s"] = time.monotonic() - start
print(json.dumps(said))
"""


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def ask_in_a_fresh_process(endpoint, cache, *names):
    env = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_OFFLINE": "0"}
    env |= {"PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_XET": "1", "OBV_DATA": str(cache / "data")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *names], env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_rows_and_weights_by_hub_id_and_every_refusal_in_one_sentence(tmp_path):
    bundle = tiny_bundle()
    bundle.save(tmp_path / "model")
    weights = {p.name: p.read_bytes() for p in (tmp_path / "model").iterdir()}
    repos = {
        "datasets/connectthapa84/MIMICEchoQA": {"test.jsonl": jsonl(ECHO, ECHO)},
        "models/Qwen/Qwen2-VL-2B-Instruct": weights,
        "datasets/qiaojin/PubMedQA": "gated",
        "datasets/connectthapa84/SurgeryVideoQA": "missing",
        "datasets/flaviagiammarino/path-vqa": "throttled",
        "datasets/GBaker/MedQA-USMLE-4-options": "moved to someone/MedQA",
        "datasets/someone/MedQA": {"test.jsonl": jsonl(MEDQA)},
        "datasets/mdwiratathya/SLAKE-vqa-english": "busy",
        "datasets/answers": {"test.jsonl": jsonl(QUESTION | {"q_lang": "zh"}, ECHO)},
    }
    names = "MIMICEchoQA again weights MedQA SLAKE PubMedQA SurgeryVideoQA PathVQA revision".split()
    with Hub(repos) as (endpoint, _):
        said = ask_in_a_fresh_process(endpoint, tmp_path / "cache", *names)
    assert (said["MIMICEchoQA"], said["again"]) == (2, 2)
    assert said["weights"] == [bundle.num_parameters, "unpinned"]
    assert said["MedQA"] == 1  # a repository that was renamed is found
    assert said["SLAKE"] == 0 and said["SLAKE s"] < 30  # busy twice, then answered
    assert said["PubMedQA"].startswith("qiaojin/PubMedQA asks for consent: accept its terms")
    assert "is not on the hub, or is private" in said["SurgeryVideoQA"]
    assert "asks to wait before flaviagiammarino/path-vqa" in said["PathVQA"]
    assert said["PathVQA s"] < 5  # an hour is for the user to wait
    assert f"has no revision {'f' * 40}" in said["revision"]
    assert SHA in str(list((tmp_path / "cache").rglob("snapshots/*")))
