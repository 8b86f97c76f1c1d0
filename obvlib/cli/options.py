"""Options that several commands share: one name, one meaning and one help text each."""

from __future__ import annotations

from typing import Annotated

import typer

Dataset = Annotated[
    str, typer.Option(help="A dataset's card (OpenBiomedVid, mini …) or a JSON lines file of rows.")
]
InputDir = Annotated[
    str, typer.Option(help="Directory of the source videos: local, s3:// or https://.")
]
ClipsDir = Annotated[
    str, typer.Option(help="Directory of the clips, named as the rows say: local or s3://.")
]
OutputDir = Annotated[str, typer.Option(help="Directory for the results: local or s3://.")]
NumWorkers = Annotated[
    int, typer.Option(help="Worker processes, or CPUs of a local Ray; 0: this process.")
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Compare the contents of all files, not only their times.")
]
Engine = Annotated[str, typer.Option(help="local, or ray: the cluster in RAY_ADDRESS.")]
Split = Annotated[str, typer.Option(help="Only this split.")]
Seed = Annotated[int, typer.Option(help="Seed of every random choice.")]
Endpoint = Annotated[str, typer.Option(help="Base of an OpenAI-compatible server, ending in /v1.")]

# what an option was called before, so that an old command says how it is written now
RENAMED = {
    "--clips-dir": "--input-dir",
    "--media": "--input-dir",
    "--rows": "--dataset",
    "--training": "--training-dataset",
    "--training-clips": "--training-input-dir",
    "--url": "--endpoint",
}
