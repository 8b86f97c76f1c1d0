"""Tables, figures and stored results.

In: verdicts, scores, the paper's numbers, stored runs. Out: tables for pages, CSV and markdown,
plots, and labelled results.
"""

from obvlib.report import paper, plots, token_plots
from obvlib.report.benchmark import (
    control_rows,
    readable_controls,
    readable_scores,
    score_rows,
    sensitivity_rows,
    smallest_shown,
)
from obvlib.report.evaluation_report import compare, evaluation_report, write_report
from obvlib.report.paper_table import kept_runs, paper_table
from obvlib.report.power import smallest_difference
from obvlib.report.results import load_result, save_result, stored_results
from obvlib.report.tables import (
    Table,
    family_table,
    percent,
    readable,
    rule_counts,
    to_csv,
    to_latex,
    to_markdown,
)

__all__ = [
    "Table",
    "compare",
    "control_rows",
    "evaluation_report",
    "family_table",
    "kept_runs",
    "load_result",
    "paper",
    "paper_table",
    "percent",
    "plots",
    "readable",
    "readable_controls",
    "readable_scores",
    "rule_counts",
    "save_result",
    "score_rows",
    "sensitivity_rows",
    "smallest_difference",
    "smallest_shown",
    "stored_results",
    "to_csv",
    "to_latex",
    "to_markdown",
    "token_plots",
    "write_report",
]
