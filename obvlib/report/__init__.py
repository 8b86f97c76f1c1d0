"""Tables, figures and stored results.

In: verdicts, scores, the paper's numbers, stored runs. Out: tables for pages, CSV and markdown,
plots, and labelled results.
"""

from obvlib.report import paper, plots, token_plots
from obvlib.report.results import load_result, save_result, stored_results
from obvlib.report.tables import (
    Table,
    family_table,
    percent,
    readable,
    rule_counts,
    to_csv,
    to_markdown,
)

__all__ = [
    "Table",
    "family_table",
    "load_result",
    "paper",
    "percent",
    "plots",
    "readable",
    "rule_counts",
    "save_result",
    "stored_results",
    "to_csv",
    "to_markdown",
    "token_plots",
]
