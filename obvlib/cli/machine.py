"""`obv doctor` and `obv pin`: what this machine can run, and which revisions results come from."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from obvlib.cli.app import app


@app.command()
def doctor(
    profile: Annotated[
        str, typer.Option(help="Profile that must be able to run: mini, gpu or full.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what this machine can run, what is missing, and what to do about it."""

    from obvlib.cli import doctor, findings
    from obvlib.core import settings

    chosen = profile or settings.profile()
    if chosen not in settings.PROFILES:
        raise typer.BadParameter(
            f"{chosen!r} is not one of {', '.join(settings.PROFILES)}", param_hint="--profile"
        )
    report = doctor.examine()
    print(
        json.dumps(report.to_dict() | {"profile": chosen}, indent=1)
        if as_json
        else findings.render(report, chosen)
    )
    raise typer.Exit(0 if report.can_run(chosen) else 1)


@app.command()
def pin(
    cards: Annotated[
        list[str] | None, typer.Argument(help="Names of cards; default: every one from the hub.")
    ] = None,
) -> None:
    """Record the newest hub revision in cards, so that results name what they were made from."""
    from obvlib.manifests import card_names, load_card
    from obvlib.manifests import pin as pin_card

    for name in cards or [name for name in card_names() if load_card(name).hub_id]:
        before, now = pin_card(name)
        print(
            f"{name}: {now}"
            + (" as before" if before == now else f" instead of {before}" if before else "")
        )
