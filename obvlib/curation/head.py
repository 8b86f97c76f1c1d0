"""Training a frame head: which windows are medical, then what their scores say of the frame."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from obvlib.curation.frames import MAX_APART, NUM_WINDOWS, FrameHead

MEDICAL_SHARE = 1 / 12  # of the screen, from which a frame counts as medical
_INSIDE, _OUTSIDE = (
    0.5,
    0.05,
)  # share of a window that is medical; what lies between teaches nothing
_WINDOW_WEIGHTS = np.array([3.0, *[1.0] * 9, *[0.5] * (NUM_WINDOWS - 10)])
_STEPS, _BATCH, _RATE, _DECAY = 1000, 1024, 1e-3, 0.1
_HIDDEN, _DROPPED = 128, (0.2, 0.3)  # units; shares of features and of units left out at random
_NOISE = 0.5  # standard deviations added to features: what training has not seen is a little off


def fit_windows(
    features: np.ndarray, shares: np.ndarray, rows: np.ndarray, *, seed: int = 0
) -> FrameHead:
    """Return a head that tells medical windows from others, fitted on `rows` (N,) bool of features
    (N, 35, D) and shares (N, 35); its pooling is not fitted yet.
    """
    rng = torch.Generator().manual_seed(seed)
    chosen = torch.from_numpy(np.flatnonzero(rows))
    pixels = torch.from_numpy(features)
    inside = torch.from_numpy(shares >= _INSIDE)
    usable = torch.from_numpy((shares >= _INSIDE) | (shares <= _OUTSIDE))
    weights = torch.from_numpy(_WINDOW_WEIGHTS) * usable
    of_medical = float((weights * inside)[chosen].sum() / weights[chosen].sum())
    balance = torch.where(inside, 0.5 / of_medical, 0.5 / (1 - of_medical))
    sample = pixels[chosen][:, ::3].float().reshape(-1, features.shape[2])
    mean, scale = sample.mean(0), sample.std(0)
    scale = scale + 0.02 * scale.median() + 1e-3
    network = _network(features.shape[2], rng)
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, _STEPS)
    drawn_from = torch.from_numpy(_WINDOW_WEIGHTS)
    batch = min(_BATCH, 8 * len(chosen))  # few frames need no large ones
    for _ in range(_STEPS):
        frames = chosen[torch.randint(len(chosen), (batch,), generator=rng)]
        windows = torch.multinomial(drawn_from, batch, replacement=True, generator=rng)
        x = ((pixels[frames, windows].float() - mean) / scale).clamp(-MAX_APART, MAX_APART)
        x = x + _NOISE * torch.randn(x.shape, generator=rng)  # (B, D)
        x = _dropped(x, _DROPPED[0], rng)
        logits = network[1](_dropped(network[0](x).relu(), _DROPPED[1], rng))[:, 0]
        loss = F.binary_cross_entropy_with_logits(
            logits, inside[frames, windows].float(), reduction="none"
        )
        loss = (loss * (balance * usable)[frames, windows]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    hidden, last = (layer.state_dict() for layer in network)
    return FrameHead(
        mean=mean.numpy(),
        scale=scale.numpy(),
        hidden_weight=hidden["weight"].numpy(),
        hidden_bias=hidden["bias"].numpy(),
        weight=last["weight"].numpy()[0],
        bias=float(last["bias"]),
        pool_weight=np.zeros(6, np.float32),
        pool_bias=0.0,
    )


def _network(num_features: int, rng: torch.Generator) -> torch.nn.Sequential:
    """Return one hidden layer, its weights drawn from `rng` and from no other stream."""
    network = torch.nn.Sequential(
        torch.nn.utils.skip_init(torch.nn.Linear, num_features, _HIDDEN),
        torch.nn.utils.skip_init(torch.nn.Linear, _HIDDEN, 1),
    )
    for parameter in network.parameters():
        fan_in = num_features if len(parameter) == _HIDDEN else _HIDDEN
        bound = fan_in**-0.5
        torch.nn.init.uniform_(parameter, -bound, bound, generator=rng)
    return network


def _dropped(x: torch.Tensor, share: float, rng: torch.Generator) -> torch.Tensor:
    return x * (torch.rand(x.shape, generator=rng) >= share) / (1 - share)


def fit_pool(head: FrameHead, numbers: np.ndarray, truth: np.ndarray) -> FrameHead:
    """Return the head with the logistic regression that turns `numbers` (N, 6), best of frames that
    the head has not seen, into the probability of `truth` (N,).
    """
    mean, scale = numbers.mean(0), numbers.std(0) + 1e-6
    x = torch.from_numpy((numbers - mean) / scale).float()
    y = torch.from_numpy(np.asarray(truth, np.float32))
    weight = torch.zeros(x.shape[1], requires_grad=True)
    bias = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100)
    optimizer.step(functools.partial(_pool_loss, weight, bias, x, y))
    pool_weight = (weight.detach().numpy() / scale).astype(np.float32)
    pool_bias = float(bias.detach()) - float(mean @ pool_weight)
    return replace(head, pool_weight=pool_weight, pool_bias=pool_bias)


def _pool_loss(
    weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """Return the regression's loss with a penalty, and leave its gradients in the parameters."""
    weight.grad = bias.grad = None
    value = F.binary_cross_entropy_with_logits(x @ weight + bias, y)
    value = value + 0.01 * weight.square().sum()
    value.backward()
    return value
