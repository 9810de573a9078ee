"""Distributions from the log probabilities of a tree's steps, against sums and products written out."""
import math

import numpy as np
import pytest

from thinking.readout_tree import grow_tree

TREE = grow_tree(
    {
        "letter": ([1, 2], [[[10]], [[11]]]),
        "number": ([1, 3], [[[20, 30]], [[20, 31], [21]]]),  # two spellings, one of them shared up to its last token
    }
)


def log_probabilities(**changes):
    """(steps,) of one place: each step's is -1, -2, ... but for those named by their token."""
    values = -1.0 - np.arange(len(TREE.steps))
    for number, (_, token) in enumerate(TREE.steps):
        values[number] = changes.get(f"token_{token}", values[number])
    return values


def of_token(values, wanted):
    (value,) = [value for value, (_, token) in zip(values, TREE.steps, strict=True) if token == wanted]
    return value


def test_a_choice_is_the_sum_of_its_spellings_and_a_spelling_the_product_of_its_steps():
    values = log_probabilities()
    (found,) = TREE.results(values[None])
    at = {token: math.exp(of_token(values, token)) for token in (10, 11, 20, 21, 30, 31)}
    for name, joint in (
        ("letter", [at[10], at[11]]),
        ("number", [at[20] * at[30], at[20] * at[31] + at[21]]),
    ):
        assert found[name].mass == pytest.approx(sum(joint), rel=1e-14)
        assert found[name].probabilities == pytest.approx([one / sum(joint) for one in joint], rel=1e-14)


@pytest.mark.parametrize("broken", [math.nan, -math.inf, math.inf])
def test_a_place_that_cannot_be_read_leaves_the_other_readouts_and_places(broken):
    sound, other = log_probabilities(), log_probabilities(token_10=-0.5)
    spoilt = log_probabilities(token_20=broken, token_21=broken)
    found = TREE.results(np.stack([sound, spoilt, other]))
    assert found[1]["number"] is None
    assert found[1]["letter"] == TREE.results(spoilt[None])[0]["letter"] == TREE.results(sound[None])[0]["letter"]
    assert [found[0], found[2]] == [TREE.results(one[None])[0] for one in (sound, other)]


def test_reads_name_the_node_and_token_of_every_step():
    nodes, places, tokens = TREE.reads
    assert [*zip(nodes[places].tolist(), tokens.tolist(), strict=True)] == TREE.steps
    assert len(set(nodes.tolist())) == len(nodes)


def test_tokens_before_the_tree_are_attended_to_by_all_of_it():
    depths, visible = TREE.after(3)
    assert depths.tolist() == [0, 1, 2, *(3 + TREE.depths)]
    assert (visible[:3, :3] == np.tri(3, dtype=bool)).all()
    assert visible[3:, :3].all()
    assert not visible[:3, 3:].any()
    assert (visible[3:, 3:] == TREE.visible).all()
