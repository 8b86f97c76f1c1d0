"""Generation with our own positions: step by step with the cache equals one forward over the whole,
alone equals in a batch.
"""

import pytest
import torch

from obvlib.core.records import QAPair
from obvlib.evaluation.generation import generate
from obvlib.inputs import encode, question_turns
from obvlib.inputs.packing import collate
from tests.helpers_inputs import OPEN, clip, picture, tiny


def prompt(num_frames: int, words: int = 1, seed: int = 0):
    question = QAPair(question="Which? " * words, answer="x")
    turns = question_turns([clip(num_frames, 28, 56, seed)], question, answer=False)
    return encode(turns, tiny().tokenizer, tiny().spec, add_generation_prompt=True)


def greedy_by_whole_forwards(sample, count):
    """The slow way: a full forward pass for every new token, positions continued by hand."""
    ids, positions, out = torch.tensor(sample.input_ids), torch.tensor(sample.position_ids), []
    for _ in range(count):
        batch = collate([sample]) | {"input_ids": ids[None], "position_ids": positions[:, None]}
        batch.pop("labels")
        with torch.no_grad():
            logits = tiny().model(**batch, use_cache=False).logits[0, -1]
        out.append((int(logits.argmax()), logits))
        ids = torch.cat([ids, ids.new_tensor([out[-1][0]])])
        positions = torch.cat([positions, (positions.max() + 1).expand(3, 1)], dim=1)
    return out


def test_video_longer_in_time_than_in_space_decodes_as_one_forward_pass():
    sample = prompt(num_frames=40)  # 20 temporal patches of 1 x 2 tokens
    assert sample.video_grid_thw.tolist() == [[20, 2, 4]] and sample.rope_delta == 20 - 40
    expected = [token for token, _ in greedy_by_whole_forwards(sample, 12)]
    assert generate(tiny().model, [sample], max_new_tokens=12, eos_token_ids=[-1]) == [expected]


def test_teacher_forced_logits_equal_step_by_step_logits(monkeypatch):
    sample = prompt(num_frames=30)
    steps = greedy_by_whole_forwards(sample, 6)
    seen = []
    forward = type(tiny().model).forward

    def recording(self, *args, **kwargs):
        output = forward(self, *args, **kwargs)
        seen.append(output.logits[0, -1])
        return output

    monkeypatch.setattr(type(tiny().model), "forward", recording)
    generate(tiny().model, [sample], max_new_tokens=6, eos_token_ids=[-1])
    assert len(seen) == 6
    for (_, expected), logits in zip(steps, seen, strict=True):
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_a_batch_answers_as_each_alone():
    image = encode(
        question_turns([picture()], OPEN, answer=False),
        tiny().tokenizer,
        tiny().spec,
        add_generation_prompt=True,
    )
    text = encode(
        question_turns([], OPEN, answer=False),
        tiny().tokenizer,
        tiny().spec,
        add_generation_prompt=True,
    )
    samples = [prompt(4), prompt(26, words=9, seed=1), image, text]
    alone = [
        generate(tiny().model, [sample], max_new_tokens=10, eos_token_ids=[-1])[0]
        for sample in samples
    ]
    assert generate(tiny().model, samples, max_new_tokens=10, eos_token_ids=[-1]) == alone


def test_stops_at_the_end_token_and_leaves_it_out():
    free = generate(tiny().model, [prompt(4)], max_new_tokens=8, eos_token_ids=[-1])[0]
    first = free.index(free[3])
    assert generate(tiny().model, [prompt(4)], max_new_tokens=8, eos_token_ids=[free[3]]) == [
        free[:first]
    ]


def test_training_mode_is_restored_and_no_prompts_give_no_answers():
    assert generate(tiny().model, [], eos_token_ids=[0]) == []
    tiny().model.train()
    try:
        generate(tiny().model, [prompt(4)], max_new_tokens=1, eos_token_ids=[-1])
        assert tiny().model.training
    finally:
        tiny().model.eval()


def test_no_room_for_an_answer_is_refused():
    with pytest.raises(ValueError, match="max_new_tokens is 0"):
        generate(tiny().model, [prompt(4)], max_new_tokens=0, eos_token_ids=[-1])
