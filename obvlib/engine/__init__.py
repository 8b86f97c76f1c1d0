"""Running one stage over many records, in this process, in worker processes or on Ray, and
recording what became of each.

In: records and a stage. Out: kept records in their order; the ledger holds every drop and failure
with its reason.
"""

from obvlib.engine.claims import Claim, claimed
from obvlib.engine.ledger import Ledger, LedgerError, hash_params
from obvlib.engine.outcomes import Drop, Outcome, Refusal, StageStopped, stops_everything, tried
from obvlib.engine.processes import Workers
from obvlib.engine.run import How, StageInterrupted, StageRun, opened, run_stage, without_names
from obvlib.engine.stages import Stage

__all__ = [
    "Claim",
    "Drop",
    "How",
    "Ledger",
    "LedgerError",
    "Outcome",
    "Refusal",
    "Stage",
    "StageInterrupted",
    "StageRun",
    "StageStopped",
    "Workers",
    "claimed",
    "hash_params",
    "opened",
    "run_stage",
    "stops_everything",
    "tried",
    "without_names",
]
