"""Packing: bins that hold what they may, few of them, and a packed batch that keeps its samples
apart.
"""

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obvlib.inputs.packing import epoch_order, lower_bound, num_label_tokens, pack, pack_shards


def plain_best_fit_decreasing(lengths, capacity):
    """The textbook algorithm, slowly: the longest first, into the bin with the least room that is
    enough.
    """
    rooms = []
    for length in sorted(lengths, reverse=True):
        fitting = [(room, i) for i, room in enumerate(rooms) if room >= length]
        if fitting:
            rooms[min(fitting)[1]] -= length
        else:
            rooms.append(capacity - length)
    return len(rooms)


def assert_packed(bins, lengths, capacity):
    assert sorted(i for items in bins for i in items) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in items) <= capacity for items in bins)


def test_three_row_toy():
    assert pack([7, 5, 3, 5], 10) == [[0, 2], [1, 3]]
    assert pack([], 10) == [] and pack([10], 10) == [[0]]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(1, 60), max_size=60),
    st.integers(60, 90),
    st.one_of(st.none(), st.integers(0, 9)),
)
def test_every_item_once_no_bin_over_and_never_more_bins_than_best_fit(lengths, capacity, seed):
    bins = pack(lengths, capacity, seed=seed)
    assert_packed(bins, lengths, capacity)
    assert (
        lower_bound(lengths, capacity) <= len(bins) <= plain_best_fit_decreasing(lengths, capacity)
    )


def sampled_lengths(kind, count, seed=0):
    rng = np.random.default_rng(seed)
    draw = {
        "lognormal": lambda: rng.lognormal(7.5, 0.8, count),
        "heavy": lambda: 200 * (1 + rng.pareto(1.1, count)),
        "short": lambda: rng.integers(40, 400, count),
    }[kind]()
    return np.clip(draw, 1, 16_384).astype(int).tolist()


@pytest.mark.parametrize("kind", ["lognormal", "heavy", "short"])
def test_within_a_thousandth_of_the_lower_bound(kind):
    lengths = sampled_lengths(kind, 20_000)
    bins, bound = pack(lengths, 16_384, seed=1), lower_bound(lengths, 16_384)
    assert_packed(bins, lengths, 16_384)
    assert len(bins) <= bound * 1.001 + 1, (len(bins), bound)


def test_packing_time_grows_little_faster_than_the_number_of_lengths():
    # Seconds depend on the machine (tests/benchmarks/packing.py prints them); that twenty times the
    # lengths do not take 400 times as long does not. Caches and neighbours double what is small.
    lengths = sampled_lengths("lognormal", 160_000)
    assert pack_seconds(lengths) < 60 * pack_seconds(lengths[:8_000])


def pack_seconds(lengths):
    """Return the CPU seconds of the fastest of three packings."""
    seconds = []
    for _ in range(3):
        start = time.process_time()
        pack(lengths, 16_384)
        seconds.append(time.process_time() - start)
    return min(seconds)


def test_same_seed_same_bins_other_seed_other_bins():
    lengths = sampled_lengths("short", 500)
    assert pack(lengths, 4096, seed=3) == pack(lengths, 4096, seed=3) != pack(lengths, 4096, seed=4)
    assert Counter(map(len, pack(lengths, 4096, seed=3))).total() == len(pack(lengths, 4096))


def test_shards_keep_their_bins_when_the_data_grow():
    lengths = sampled_lengths("lognormal", 1000)
    before = pack_shards(lengths[:700], 16_384, shard_size=256, seed=5)
    after = pack_shards(lengths, 16_384, shard_size=256, seed=5)
    full = [items for items in before if max(items) < 512]
    assert after[: len(full)] == full
    assert_packed(after, lengths, 16_384)
    assert len(after) <= lower_bound(lengths, 16_384) + 4


def test_epochs_differ_and_repeat():
    assert epoch_order(50, 7, 0) == epoch_order(50, 7, 0) != epoch_order(50, 7, 1)
    assert sorted(epoch_order(50, 7, 1)) == list(range(50))


def test_lower_bound_sees_items_that_cannot_share():
    # 18 tokens would fit two rows, but no two of them share one
    assert lower_bound([6, 6, 6], 10) == 3
    assert lower_bound([6, 6, 5, 5], 11) == 2 and lower_bound([], 5) == 0


@pytest.mark.parametrize(
    ("lengths", "capacity", "names", "message"),
    [
        ([5, 11], 10, None, "length of item 1 is 11, capacity 10: drop it"),
        ([5, 11], 10, ["a", "b"], r"length of 'b' \(item 1\) is 11"),
        ([0], 10, None, "length of item 0 is 0"),
        ([-3], 10, None, "length of item 0 is -3"),
        ([1], 0, None, "capacity is 0"),
        ([1.5, 1.5], 3, None, "length of item 0 is 1.5, capacity 3: give whole tokens"),
        ([float("nan")], 3, None, "length of item 0 is nan"),
        ([5, 4], 10, ["a"], "names has 1 entries for 2 lengths"),
    ],
)
def test_lengths_that_no_row_holds_are_refused_by_name(lengths, capacity, names, message):
    with pytest.raises(ValueError, match=message):
        pack(lengths, capacity, names=names)


def test_label_count_leaves_out_what_the_shift_drops():
    assert num_label_tokens(np.array([[-100, 5, -100, 7]])) == 2
    assert num_label_tokens(np.array([[5, -100]])) == 0
