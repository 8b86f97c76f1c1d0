"""Muon and AdamW as one optimiser: who moves what, one schedule for both, and a state that can be
put away and taken back.
"""

import copy

import torch

from obvlib.models.bundle import tiny_bundle
from obvlib.training.optimizers import MuonAdamW


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
