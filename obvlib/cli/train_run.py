"""`obv train`: a configuration, its plan, its progress."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from obvlib.core import Clip
    from obvlib.recipes import Recipe


def run(
    config: str, changes: Sequence[str], *, seed: int, dry_run: bool, gpu: str, show: bool
) -> None:
    """Train as a configuration says, or only print its plan or its text."""
    from obvlib import recipes
    from obvlib.core import profile
    from obvlib.training.config_files import config_text

    if show:
        print(config_text(config or profile()), end="")
        return
    # rows differ in size: without it the GPU loses memory between the pieces of earlier ones
    os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    recipe = recipes.recipe(config, changes)
    training = training_clips(recipe)
    if dry_run:
        print_plan(recipe, training, seed, gpu)
        return
    fit(recipe, training, seed)


def training_clips(recipe: Recipe) -> list[Clip]:
    """Return the clips that a recipe trains on, before looking whether they have been cut."""
    from obvlib.manifests import load_rows

    clips, problems = load_rows(recipe.dataset)
    if problems:
        print(f"{len(problems)} rows could not be read, the first: {problems[0].reason}")
    return [clip for clip in clips if clip.is_for_training][: recipe.limit]


def fit(recipe: Recipe, clips: list[Clip], seed: int) -> None:
    """Train, with a bar on a terminal and lines elsewhere."""
    from obvlib import recipes
    from obvlib.manifests import load_examples
    from obvlib.training import Watchers

    tested = [example for name in recipe.benchmarks for example in load_examples(name)]
    bundle = recipes.load_model(recipe, seed=seed)
    with Bar() as bar:
        watchers = Watchers(on_progress=bar.show, say=bar.say)
        result = recipes.finetune(
            recipe, bundle, clips, tested=tested, seed=seed, watchers=watchers
        )
    if result.skipped:
        print(f"{len(result.skipped)} samples were skipped: {result.folder / 'skipped.jsonl'}")
    print(f"{result.num_steps} steps in {result.seconds:.0f} s: {result.folder / 'model'}")


class Bar:
    """Progress of a run: a bar where somebody watches, a line for each log entry elsewhere."""

    def __init__(self) -> None:
        self.bar: tqdm | None = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: Any) -> None:
        if self.bar is not None:
            self.bar.close()

    def say(self, text: str) -> None:
        """Print a sentence without breaking the bar."""
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()

    def show(self, entry: dict[str, float]) -> None:
        """Show one entry of the log."""
        from obvlib.training import progress

        if not sys.stderr.isatty():
            print(progress.line(entry), flush=True)
            return
        if self.bar is None:
            self.bar = tqdm(total=int(entry["num_steps"]), unit="step")
        text = progress.line(entry).partition(", ")[2]
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update(int(entry["step"]) - self.bar.n)


def print_plan(recipe: Recipe, clips: list[Clip], seed: int, gpu: str) -> None:
    """Print what a run would cost, without loading a weight."""
    from obvlib import recipes
    from obvlib.training import forecast

    for name, value in forecast.plan_lines(*recipes.planned_costs(recipe, clips, seed), gpu=gpu):
        print(f"{name:<20} {value}")
