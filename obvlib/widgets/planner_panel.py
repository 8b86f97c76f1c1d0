"""The planner's panel for a notebook: choose model, GPU and row length, and read what the run would
take.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from obvlib.models import GPUS, MODELS
from obvlib.training.planner import Sample, Settings, plan


def table(samples: Sequence[Sample], model: str, gpu: str, settings: Settings) -> str:
    """The plan as an HTML table; a choice that cannot work is said in words."""
    try:
        made = plan(samples, model, gpu, settings)
    except ValueError as error:
        return f"<p>{error}</p>"
    rows = {
        "Samples": f"{made.num_samples:,} ({made.dropped:,} too long)",
        "Packed rows": f"{made.num_rows:,}, {100 * made.fill:.1f} % full",
        "Steps": f"{made.num_steps:,} of {made.step_s:.2f} s",
        "Time": f"{made.hours:.2f} h on {settings.num_gpus} GPUs, {made.gpu_hours:.1f} GPU hours",
        "Memory": f"{made.peak_gb:.1f} GB a GPU"
        + ("" if made.fits else f": does not fit; {'; '.join(made.reasons)}"),
        "Model FLOPs utilisation": f"{100 * made.mfu:.0f} %",
    }
    cells = "".join(
        f"<tr><th scope='row'>{name}</th><td>{value}</td></tr>" for name, value in rows.items()
    )
    return f"<table><caption>Plan: {model} on {gpu}</caption>{cells}</table>"


def panel(samples: Sequence[Sample]) -> Any:
    """Controls and the table that follows them, as an ipywidgets box. Without a kernel it shows the
    first choice's plan.
    """
    import ipywidgets as widgets

    defaults = Settings()
    controls = {
        "model": widgets.Dropdown(options=list(MODELS), description="Model"),
        "gpu": widgets.Dropdown(options=list(GPUS), description="GPU"),
        "num_gpus": widgets.BoundedIntText(
            value=defaults.num_gpus, min=1, max=1024, description="GPUs"
        ),
        "row_tokens": widgets.Dropdown(
            options=[4096, 8192, 16_384, 32_768], value=defaults.row_tokens, description="Row"
        ),
        "epochs": widgets.BoundedIntText(
            value=defaults.epochs, min=1, max=100, description="Epochs"
        ),
        "fused_loss": widgets.Checkbox(value=defaults.fused_loss, description="Fused loss"),
        "compiled": widgets.Checkbox(value=defaults.compiled, description="Compiled layers"),
        "trains_vision": widgets.Checkbox(
            value=defaults.trains_vision, description="Train the vision tower"
        ),
    }
    output = widgets.HTML()

    def update(_: Any = None) -> None:
        chosen = {name: control.value for name, control in controls.items()}
        model, gpu = chosen.pop("model"), chosen.pop("gpu")
        output.value = table(samples, model, gpu, dataclasses.replace(defaults, **chosen))

    for control in controls.values():
        control.observe(update, names="value")
    update()
    return widgets.VBox(
        [
            widgets.GridBox(
                list(controls.values()), layout={"grid_template_columns": "repeat(2, 320px)"}
            ),
            output,
        ]
    )
