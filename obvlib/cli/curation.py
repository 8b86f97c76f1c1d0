"""`obv curate`, `obv report curation` and `obv replay`: from videos to a reviewed dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from obvlib.cli.app import app, leave
from obvlib.cli.evaluation import report_app
from obvlib.cli.options import Endpoint, Engine, NumWorkers, Seed

Folder = Annotated[Path, typer.Argument(help="The output directory of `obv curate`.")]


@app.command()
def curate(
    input_dir: Annotated[str, typer.Option(help="A folder of videos, with captions beside them.")],
    output_dir: Annotated[str, typer.Option(help="Directory for rows, ledger and report.")],
    ids: Annotated[
        str, typer.Option(help="A file of video ids, one a line; missing ones are downloaded.")
    ] = "",
    endpoint: Endpoint = "",
    model: Annotated[str, typer.Option(help="The model's name at the endpoint.")] = "",
    api_key_variable: Annotated[
        str, typer.Option(help="The environment variable that holds the endpoint's key.")
    ] = "",
    credentialed: Annotated[
        bool, typer.Option("--credentialed", help="The videos are under an access agreement.")
    ] = False,
    allow_credentialed: Annotated[
        bool, typer.Option("--allow-credentialed", help="Their words may leave this network.")
    ] = False,
    blind_check: Annotated[
        bool, typer.Option("--blind-check", help="Drop what the model answers without the video.")
    ] = False,
    max_usd: Annotated[float, typer.Option(help="Most to spend at each step; 0: no limit.")] = 0.0,
    speech_model: Annotated[
        str, typer.Option(help="whisper-base, large-v3, … or a folder; by default the profile's.")
    ] = "",
    test_share: Annotated[float, typer.Option(help="Share of videos to hold out for tests.")] = 0.0,
    num_workers: NumWorkers = 0,
    engine: Engine = "local",
    seed: Seed = 0,
) -> None:
    """Curate videos into clips with captions and questions; run again to continue after a stop.

    Without an --endpoint, embeddings and templates decide and write. What people decided in the
    review widgets (`labels/` under the data root) overrides the machine.
    """
    from obvlib import curation
    from obvlib.core.checks import is_id
    from obvlib.core.locations import local_dir
    from obvlib.curation.speech import SpeechSettings
    from obvlib.encoders.speech import check_model
    from obvlib.recipes import recipe
    from obvlib.report.curation import load_curation, render_curation

    local_dir(output_dir)
    speech = SpeechSettings(model=speech_model or recipe().speech_model)
    if speech_model:
        check_model(speech_model)
    names = Path(ids).read_text(encoding="utf-8").split() if ids else []
    there = obtained(names, input_dir) if names else []
    Path(output_dir).mkdir(parents=True, exist_ok=True)
    language_model = None
    if endpoint:
        from obvlib.curation.language_model import LanguageModel
        from obvlib.llm import Endpoint as Server

        language_model = LanguageModel(
            endpoint=Server(
                url=endpoint,
                model=model,
                api_key_variable=api_key_variable,
                allow_credentialed=allow_credentialed,
            ),
            credentialed=credentialed,
            cache=str(Path(output_dir, "replies.sqlite")),
            budget=str(Path(output_dir, "budget.sqlite")),
            max_usd=max_usd or None,
        )
    settings = curation.CurationSettings(
        speech=speech,
        model=language_model,
        blind_check=blind_check,
        decisions=curation.read_decisions(),
        test_share=test_share,
        seed=seed,
    )
    videos = curation.videos_in(input_dir, there)
    made = curation.curate(videos, output_dir, settings, num_workers=num_workers, engine=engine)
    print(f"{render_curation(load_curation(output_dir))}\n\n{made.rows}")
    num_unnamed = sum(not is_id(name) for name in curation.video_files(input_dir))
    leave(len(made.steps["score_frames"]), len(set(names)) or len(videos) + num_unnamed)


@report_app.command("curation")
def report_curation(run: Folder) -> None:
    """Print a curation's funnel, its drops with reasons, cost, and what changed."""
    from obvlib.report.curation import load_curation, render_curation

    print(render_curation(load_curation(run)))


@app.command()
def replay(
    stage: Annotated[str, typer.Argument(help="A stage, as the report names it.")],
    item: Annotated[str, typer.Argument(help="The id of a video, clip or question.")],
    run: Annotated[Path, typer.Option(help="The output directory of `obv curate`.")],
) -> None:
    """Run one stage on one item again, and say what differs from what was recorded.

    Exit status 0 where nothing does, 1 where something does.
    """
    from obvlib.curation.replaying import replay as run_again

    different = run_again(run, stage, item)
    print("\n".join(different) if different else f"{stage} of {item}: as recorded")
    raise typer.Exit(1 if different else 0)


def obtained(names: list[str], input_dir: str) -> list[str]:
    """Return those of the ids whose videos are in the folder, after downloading what it lacks; say
    which are left out.
    """
    from obvlib.core.forgotten import forgotten_sources
    from obvlib.curation import video_files
    from obvlib.manifests import download as downloading

    Path(input_dir).mkdir(parents=True, exist_ok=True)
    forgotten = forgotten_sources()
    if num_gone := sum(name in forgotten for name in set(names)):
        print(f"{num_gone} of the videos were removed with `obv forget` and stay out")
        names = [name for name in names if name not in forgotten]
    there = video_files(input_dir)
    if lacking := [name for name in dict.fromkeys(names) if name not in there]:
        sources = [downloading.SourceVideo(video_id=n, url=downloading.WATCH + n) for n in lacking]
        stage = downloading.DownloadStage(output_dir=input_dir, captions=True)
        print(downloading.render(downloading.fetch_all(sources, stage).report))
        there = video_files(input_dir)
    if left_out := [name for name in dict.fromkeys(names) if name not in there]:
        more = " …" if len(left_out) > 5 else ""
        print(f"{len(left_out)} videos are left out: {', '.join(left_out[:5])}{more}")
    if len(left_out) == len(set(names)):
        raise ValueError(f"none of the listed videos is in {input_dir}")
    return [name for name in dict.fromkeys(names) if name in there]
