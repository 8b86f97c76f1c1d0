"""`obv download`: the source videos of a dataset, from where they are published."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from obvlib.cli.app import app, leave
from obvlib.cli.options import Dataset, NumWorkers, Split


@app.command()
def download(
    dataset: Dataset,
    output_dir: Annotated[
        str, typer.Option(help="Directory for the videos; default: below the data root.")
    ] = "",
    max_height: Annotated[int, typer.Option(help="Largest height of a video, in px.")] = 720,
    captions: Annotated[bool, typer.Option(help="Also the site's captions, as WebVTT.")] = False,
    sections: Annotated[bool, typer.Option(help="Only what clips name; needs ffmpeg.")] = False,
    cookies: Annotated[str, typer.Option(help="A cookies.txt of an account that may watch.")] = "",
    rate_mb_s: Annotated[float, typer.Option(help="At most so many MB a second; 0: any.")] = 0.0,
    sleep_s: Annotated[float, typer.Option(help="Seconds between requests to a site.")] = 1.0,
    limit: Annotated[int, typer.Option(help="Only the first so many videos; 0: all.")] = 0,
    split: Split = "",
    num_workers: NumWorkers = 0,
) -> None:
    """Download the source videos that a dataset's rows name; run again for what is missing.

    The exit status is 0 when every video is there, 3 when some are (missing videos are common), 1
    when none is.
    """
    from obvlib.core import data_root
    from obvlib.manifests import download as downloading
    from obvlib.manifests import load_rows

    clips, problems = load_rows(dataset, split=split)
    sources = downloading.sources_of(clips)[: limit or None]
    out = output_dir or str(data_root() / "videos" / Path(dataset).stem.lower())
    downloading.check_disk(out, sources)
    stage = downloading.DownloadStage(
        output_dir=out,
        max_height=max_height,
        captions=captions,
        sections_only=sections,
        cookies=cookies,
        rate_bytes_s=round(rate_mb_s * 1e6),
        sleep_s=sleep_s,
    )
    needed_gb = downloading.disk_needed(sources) / 1e9
    print(f"{len(sources)} videos, at least {needed_gb:.1f} GB, to {out}")
    made = downloading.fetch_all(sources, stage, num_workers=num_workers)
    print(downloading.render(made.report))
    for source in made.foreign:
        print(f"  {source.video_id}: a file of this name is there and was not downloaded; it stays")
    if problems:
        print(f"{len(problems)} rows could not be read; the first: {problems[0].reason}")
    leave(len(made.run), len(sources) + len(problems))
