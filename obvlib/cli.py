"""The `obv` command. Every subcommand is a few lines around the library, whose heavy parts are imported only when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    help="From educational biomedical videos to a fine-tuned vision-language model.", no_args_is_help=True
)


@app.callback()
def main() -> None:
    """From educational biomedical videos to a fine-tuned vision-language model and scores that can be believed."""


@app.command()
def doctor(
    profile: Annotated[str, typer.Option(help="Profile that must be able to run: mini, gpu or full.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what this machine can run, what is missing, and what to do about it."""
    import json

    from obvlib import doctor, settings

    chosen = profile or settings.profile()
    if chosen not in settings.PROFILES:
        raise typer.BadParameter(f"{chosen!r} is not one of {', '.join(settings.PROFILES)}", param_hint="--profile")
    report = doctor.examine()
    print(json.dumps(report.to_dict() | {"profile": chosen}, indent=1) if as_json else doctor.render(report, chosen))
    raise typer.Exit(0 if report.can_run(chosen) else 1)


if __name__ == "__main__":
    app()
