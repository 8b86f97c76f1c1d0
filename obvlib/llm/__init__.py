"""Language models behind any OpenAI-compatible endpoint, local or hosted.

In: prompts and a pydantic schema. Out: one `Answer` for each prompt, which was answered, rejected,
refused or failed, with its tokens and cost; whatever was paid for is cached.
"""

from obvlib.llm.ask import ask, ask_all
from obvlib.llm.budget import Budget
from obvlib.llm.cache import Cache
from obvlib.llm.endpoint import Endpoint, chosen_endpoint, is_local
from obvlib.llm.replies import Answer, Prompt

__all__ = [
    "Answer",
    "Budget",
    "Cache",
    "Endpoint",
    "Prompt",
    "ask",
    "ask_all",
    "chosen_endpoint",
    "is_local",
]
