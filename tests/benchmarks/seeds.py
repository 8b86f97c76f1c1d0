"""Whether the mini profile's recipe works by luck: the same fine-tuning from other seeds, scored on
clips that nothing else is scored on.

    python tests/benchmarks/seeds.py --seeds 1 2 --out data_manifests/results/seeds_DATE.json

A seed changes the first weights, the generated training clips, the conversations and their order.
The clips to score on come from a stream of their own: not that of chapter 09, nor that on which
recipes were compared (99), nor the held-out lectures. About five minutes a seed on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

from obvlib import manifests, mini, recipes, report, scoring, slicing
from obvlib.core.provenance import Provenance
from obvlib.evaluation import memory_reader
from obvlib.evaluation.predictions import predict

NUM_CLIPS, STREAM = 400, 101


def one_seed(seed: int) -> dict:
    recipe = recipes.recipe("mini")
    clips, problems = manifests.load_rows(recipe.dataset)
    slicing.slice_dataset(clips, problems, recipe.videos_dir, recipe.clips_dir, show_progress=False)
    bundle = recipes.load_model(recipe, seed=seed)
    training = [clip for clip in clips if clip.is_for_training]
    result = recipes.finetune(recipe, bundle, training, seed=seed)
    heldout = mini.generated_clips(NUM_CLIPS, split="heldout", seed=STREAM)
    examples, read = mini.generated_examples(heldout), memory_reader(heldout)
    out = recipe.run_dir / "seeds" / "predictions.jsonl"
    verdicts = scoring.score_all(
        examples, predict(bundle, examples, out, recipe.evaluation, read=read, replace=True)
    )
    row = {"seed": seed, "train s": round(result.seconds)}
    for family, answered in scoring.by_family(verdicts).items():
        row[family.replace("_", " ")] = round(100 * scoring.accuracy(answered).mean, 1)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    # of the code as it is now, before hours pass
    rows, made = [], Provenance.collect(seed=arguments.seeds[0])
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as directory:
            os.environ["OBV_DATA"] = directory
            rows.append(one_seed(seed))
            print(json.dumps(rows[-1]), flush=True)
    title = f"Accuracy in % of the mini recipe from other seeds, on {NUM_CLIPS} generated clips"
    report.save_result(arguments.out, title=title, rows=rows, provenance=made)


if __name__ == "__main__":
    main()
