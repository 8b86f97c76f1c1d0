"""The Hugging Face hub, asked once and politely: what is cached is used, what is missing is
fetched, and whatever goes wrong is one clear sentence.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

ASK_TIMEOUT_S = 5
NUM_TRIES = 3  # where the hub says that it is busy
MAX_WAIT_S = 20.0  # a longer wait is for the user to decide


class HubUnavailable(RuntimeError):
    """Files of the hub are needed, are not on this machine, and cannot be fetched now; the message
    says what to do.
    """


def fetch(
    repo_id: str,
    *,
    revision: str | None = None,
    repo_type: str = "model",
    patterns: list[str] | None = None,
) -> Path:
    """Return a local folder with the repository's files at `revision` (None means the newest, which
    a result then calls unpinned).

    Looks into the local cache first, then asks the hub once with a 5 s limit, so that a machine
    without a network hears so at once. HubUnavailable where the files cannot be had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    wanted: dict[str, Any] = dict(
        repo_id=repo_id, revision=revision, repo_type=repo_type, allow_patterns=patterns
    )
    try:
        return Path(snapshot_download(**wanted, local_files_only=True))
    except (LocalEntryNotFoundError, FileNotFoundError):
        pass
    ask(repo_id, revision=revision, repo_type=repo_type)
    for attempt in range(1, NUM_TRIES + 1):
        try:
            return Path(snapshot_download(**wanted))
        except Exception as error:  # its HTTP errors have no common base class across hub versions
            if not _wait(error, attempt):
                raise HubUnavailable(explain(error, repo_id, revision, repo_type)) from error
    raise AssertionError("the last attempt returns or raises")


def ask(repo_id: str, *, revision: str | None = None, repo_type: str = "model") -> str:
    """Return the commit hash that `revision` (None: the newest) stands for on the hub now.
    HubUnavailable, in one sentence, if it does not say.
    """
    from huggingface_hub import HfApi

    for attempt in range(1, NUM_TRIES + 1):
        try:
            found = HfApi().repo_info(
                repo_id, revision=revision, repo_type=repo_type, timeout=ASK_TIMEOUT_S
            )
            return str(found.sha)
        except Exception as error:
            if not _wait(error, attempt):
                raise HubUnavailable(explain(error, repo_id, revision, repo_type)) from error
    raise AssertionError("the last attempt returns or raises")


def explain(error: Exception, repo_id: str, revision: str | None, repo_type: str) -> str:
    """Return what an error of the hub's client means, in one sentence with the remedy."""
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, GatedRepoError):
        return f"{repo_id} asks for consent: accept its terms on its hub page, then `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return f"{repo_id} is not on the hub, or is private: check the name, or `hf auth login`"
    if isinstance(error, RevisionNotFoundError):
        return (
            f"{repo_id} has no revision {revision}: its history was rewritten, or the card is"
            " wrong; `obv pin` records the newest"
        )
    status = _status(error)
    if status == 429:
        return f"the hub asks to wait before {repo_id} is fetched (too many requests): try later"
    if status is not None and status >= 500:
        return f"the hub answers {status} for {repo_id}: it has trouble of its own, try later"
    at = f" --revision {revision}" if revision else ""
    kind = "" if repo_type == "model" else f" --repo-type {repo_type}"
    return (
        f"{repo_id} is needed, is not in this machine's hub cache, and the hub cannot be reached"
        f" ({type(error).__name__}): connect, or run `hf download {repo_id}{kind}{at}` on a"
        " connected machine and bring its cache (HF_HOME), or set OBV_PROFILE=mini"
    )


def _status(error: BaseException | None) -> int | None:
    """Return the HTTP status behind an error, if there is one."""
    while error is not None:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
        error = error.__cause__
    return None


def _wait(error: Exception, attempt: int) -> bool:
    """Wait as long as a busy hub says, and return whether to try again."""
    status = _status(error)
    if attempt == NUM_TRIES or status is None or (status != 429 and status < 500):
        return False
    response: Any = getattr(error, "response", None)
    said = response.headers.get("Retry-After", "") if response is not None else ""
    seconds = float(said) if said.isdigit() else float(attempt)
    if seconds > MAX_WAIT_S:
        return False
    time.sleep(seconds)
    return True
