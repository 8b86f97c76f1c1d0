"""Optimizers: Muon and AdamW under one schedule, AdamW on fp32 masters of bf16 weights, and states
that can be put away and taken back.
"""

import copy
import os
import subprocess
import sys

import pytest
import torch

from obvlib.models.bundle import tiny_bundle
from obvlib.training.config import TrainConfig
from obvlib.training.masters import MasterAdamW, join, split
from obvlib.training.optimizers import MuonAdamW, make


def gradients(model, seed):
    rng = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=rng)


def test_every_weight_moves_once_and_embeddings_stay_with_adamw():
    model = tiny_bundle().model
    both = MuonAdamW(model, lr=1e-3)
    muon, adamw = (
        [w for group in part.param_groups for w in group["params"]] for part in both.parts
    )
    assert (
        len(muon) + len(adamw)
        == len({id(w) for w in [*muon, *adamw]})
        == len(list(model.parameters()))
    )
    assert all(weight.ndim == 2 for weight in muon)
    assert any(weight is model.get_input_embeddings().weight for weight in adamw)


def test_one_schedule_drives_both():
    model = tiny_bundle().model
    both = MuonAdamW(model, lr=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(both, lambda step: 0.0 if step else 1.0)
    before = [weight.detach().clone() for weight in model.parameters()]
    gradients(model, 0)
    both.step()
    moved = [weight.detach().clone() for weight in model.parameters()]
    assert not any(torch.equal(a, b) for a, b in zip(before, moved, strict=True))
    schedule.step()
    both.step()
    assert all(torch.equal(a, b) for a, b in zip(moved, model.parameters(), strict=True))


def test_a_restored_optimiser_goes_on_the_same_and_still_hears_the_schedule():
    models = [tiny_bundle().model for _ in range(2)]
    first, second = (MuonAdamW(model, lr=1e-3) for model in models)
    gradients(models[0], 0)
    first.step()
    second.load_state_dict(copy.deepcopy(first.state_dict()))  # as a checkpoint on disk is
    models[1].load_state_dict(models[0].state_dict())
    for group in [*first.param_groups, *second.param_groups]:
        group["lr"] = 5e-4
    for model, optimizer in zip(models, (first, second), strict=True):
        gradients(model, 1)
        optimizer.step()
    assert all(
        torch.equal(a, b) for a, b in zip(*(model.parameters() for model in models), strict=True)
    )


def bf16_weight(seed=0):
    return torch.randn(61, 37, generator=torch.Generator().manual_seed(seed)).bfloat16()


def test_weight_and_residual_make_the_exact_master():
    fp32 = torch.randn(4096, generator=torch.Generator().manual_seed(1))
    fp32[:6] = torch.tensor([0.0, -0.0, 1.0, -1.0, 1e-40, 3e38])
    weight, residual = split(fp32)
    assert torch.equal(join(weight, residual).view(torch.int32), fp32.view(torch.int32))
    assert weight.dtype == torch.bfloat16 and residual.dtype == torch.int16
    assert (weight != fp32.bfloat16()).sum() <= 1  # the same rounding, but for exact halves
    half = torch.tensor([0x3F808000], dtype=torch.int32).view(torch.float32)
    assert split(half)[0].item() == 1.0078125 and half.bfloat16().item() == 1.0


def test_masters_of_bf16_weights_move_as_torchs_adamw_moves_fp32_weights():
    start, options = bf16_weight(), {"lr": 1e-5, "weight_decay": 0.01}
    ours, exact, lossy = (
        torch.nn.Parameter(w) for w in (start.clone(), start.float(), start.clone())
    )
    masters = MasterAdamW([ours], **options)
    others = torch.optim.AdamW([exact], **options), torch.optim.AdamW([lossy], **options)
    for step in range(60):
        gradient = bf16_weight(step + 1)
        ours.grad, exact.grad, lossy.grad = gradient, gradient.float(), gradient.clone()
        for optimizer in (masters, *others):
            optimizer.step()
    (master,) = masters.masters()
    assert torch.equal(master, exact.detach()) and torch.equal(ours, split(master)[0])
    moved, lost = ((w != start).float().mean() for w in (ours, lossy))
    assert moved > 4 * lost  # what rounding every step away costs


def test_a_restored_master_goes_on_bit_for_bit(tmp_path):
    first, second = (torch.nn.Parameter(bf16_weight()) for _ in range(2))
    one, two = (MasterAdamW([w], lr=1e-3) for w in (first, second))
    for optimizer, steps in ((one, range(6)), (two, range(3))):
        for step in steps:
            optimizer.param_groups[0]["params"][0].grad = bf16_weight(step + 1)
            optimizer.step()
    torch.save((second, two.state_dict()), tmp_path / "state.pt")
    third, state = torch.load(tmp_path / "state.pt", weights_only=True)
    three = MasterAdamW([third], lr=1e-3)
    three.load_state_dict(state)
    for step in range(3, 6):
        third.grad = bf16_weight(step + 1)
        three.step()
    assert torch.equal(first, third) and torch.equal(one.masters()[0], three.masters()[0])


def test_fp32_weights_are_their_own_masters_and_other_types_are_refused():
    ours, theirs = (torch.nn.Parameter(bf16_weight().float()) for _ in range(2))
    optimizers = MasterAdamW([ours], lr=1e-3), torch.optim.AdamW([theirs], lr=1e-3, weight_decay=0)
    for weight, optimizer in zip((ours, theirs), optimizers, strict=True):
        weight.grad = bf16_weight(1).float()
        optimizer.step()
    assert torch.equal(ours, theirs) and "residual" not in optimizers[0].state[ours]
    with pytest.raises(ValueError, match="float16: load the model in bfloat16"):
        MasterAdamW([torch.nn.Parameter(torch.zeros(2).half())], lr=1e-3)


KERNEL = """
import torch
from obvlib.training.master_kernel import update
from obvlib.training.masters import _numbers, _update_in_torch, split
weight, residual = split(torch.randn(3000, generator=torch.Generator().manual_seed(0)))
ours = [weight, None, torch.zeros(3000), torch.zeros(3000), residual]
theirs = [None if tensor is None else tensor.clone() for tensor in ours]
for step in range(1, 6):
    draw = torch.Generator().manual_seed(step)
    ours[1] = theirs[1] = torch.randn(3000, generator=draw).bfloat16()
    group = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}
    update(*ours, *_numbers(group, step))
    _update_in_torch(tuple(theirs), _numbers(group, step))
for a, b in zip(ours, theirs):
    units = 20 if a.dtype == torch.int16 else 1e-7  # of the last fp32 bit
    torch.testing.assert_close(a.float(), b.float(), rtol=1e-6, atol=units)
"""


def test_the_triton_kernel_does_the_same_arithmetic():
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", KERNEL], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_model_with_nothing_for_muon_or_nothing_at_all():
    table = torch.nn.Module()
    table.embed_tokens = torch.nn.Embedding(4, 3)
    both = MuonAdamW(table, lr=1e-3)
    assert len(both.parts) == 1 and isinstance(both.parts[0], torch.optim.AdamW)
    table.requires_grad_(False)
    with pytest.raises(ValueError, match="no weight of the model is trained"):
        MuonAdamW(table, lr=1e-3)
    with pytest.raises(ValueError, match="no weight of the model is trained"):
        MasterAdamW(table.parameters(), lr=1e-3)


def test_nothing_but_embeddings_and_nothing_at_all(tmp_path):
    model = tiny_bundle().model
    model.requires_grad_(False)
    config = TrainConfig.mini(tmp_path)
    for attempt in (lambda: MuonAdamW(model, lr=1e-3), lambda: make(model, config)):
        with pytest.raises(ValueError, match="no weight of the model is trained"):
            attempt()
    embeddings = model.get_input_embeddings().weight.requires_grad_(True)
    before = embeddings.detach().clone()
    embeddings.grad = torch.ones_like(embeddings)
    optimizer = make(model, config)
    optimizer.step()
    assert len(optimizer.parts) == 1 and not torch.equal(before, embeddings)


@pytest.mark.parametrize("shape", [(24, 40), (40, 24), (32, 32)])
def test_muon_takes_torchs_steps(shape):
    """torch's iterates in bf16, whose rounding is the whole difference."""
    from obvlib.training.muon import Muon

    start = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    options = {"lr": 1e-2, "weight_decay": 0.1}
    reference = torch.optim.Muon([theirs], **options, adjust_lr_fn="match_rms_adamw")
    optimizer = Muon([ours], **options)
    for step in range(8):
        draw = torch.Generator().manual_seed(step + 1)
        ours.grad = theirs.grad = torch.randn(*shape, generator=draw)
        optimizer.step()
        reference.step()
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() < 0.02 * moved


def test_muon_makes_updates_orthogonal_and_refuses_vectors():
    from obvlib.training.muon import Muon, orthogonal

    values = torch.linalg.svdvals(orthogonal(torch.randn(3, 16, 48)))
    assert values.min() > 0.5 and values.max() < 1.5
    with pytest.raises(ValueError, match="matrices only"):
        Muon([torch.nn.Parameter(torch.zeros(3))], lr=1e-3)
