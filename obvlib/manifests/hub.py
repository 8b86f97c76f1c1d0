"""The Hugging Face hub, asked once and politely: what is cached is used, what is missing is
fetched, and no network is one clear sentence.
"""

from __future__ import annotations

from pathlib import Path


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
    without a network hears so at once.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    wanted = dict(repo_id=repo_id, revision=revision, repo_type=repo_type, allow_patterns=patterns)
    try:
        return Path(snapshot_download(**wanted, local_files_only=True))
    except (LocalEntryNotFoundError, FileNotFoundError):
        pass
    try:
        ask(repo_id, revision=revision, repo_type=repo_type)
    except HubUnavailable as error:
        if error.__cause__ is None:
            raise
        raise HubUnavailable(unreachable(repo_id, revision, repo_type, error.__cause__)) from None
    return Path(snapshot_download(**wanted))


def ask(repo_id: str, *, revision: str | None = None, repo_type: str = "model") -> str:
    """The commit hash that `revision` (None: the newest) stands for on the hub now. HubUnavailable,
    in one sentence, if it does not say.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return HfApi().repo_info(repo_id, revision=revision, repo_type=repo_type, timeout=5).sha
    except GatedRepoError:
        raise HubUnavailable(
            f"{repo_id} asks for consent: accept its terms on its hub page, then `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise HubUnavailable(
            f"{repo_id} is not on the hub, or is private: check the name, or `hf auth login`"
        ) from None
    except (
        Exception
    ) as error:  # the HTTP client's own errors share no base class across hub versions
        raise HubUnavailable(
            f"the hub cannot be reached to ask for {repo_id}: connect, and try again"
        ) from error


def unreachable(repo_id: str, revision: str | None, repo_type: str, error: BaseException) -> str:
    """The one sentence for a machine without the hub."""
    at = f" --revision {revision}" if revision else ""
    kind = "" if repo_type == "model" else f" --repo-type {repo_type}"
    return (
        f"{repo_id} is needed, is not in this machine's hub cache, and the hub cannot be reached"
        f" ({type(error).__name__}): connect, or run `hf download {repo_id}{kind}{at}` on a"
        " connected machine and bring its cache (HF_HOME), or set OBV_PROFILE=mini"
    )
