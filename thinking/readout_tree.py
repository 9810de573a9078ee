"""Read-outs as trees of forced tokens after a thought, and what their probabilities mean."""
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from thinking.model_interface import ReadoutResult


@dataclass(frozen=True)
class TokenTree:
    """Forced tokens after a closed thought, fed in one pass: the read-outs, which all fork from the token before them.

    tokens, parents: (nodes,) ints; a parent is an earlier node, or -1 for the token before the tree.
    spellings: per read-out, per choice, per spelling the steps (node, token): the probability of the spelling is the
        product over its steps of the probability of the token after the node.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    spellings: dict[str, list[list[list[tuple[int, int]]]]]

    @cached_property
    def depths(self) -> np.ndarray:
        """(nodes,) number of ancestors of each node."""
        return self.visible.sum(axis=1) - 1

    @cached_property
    def steps(self) -> list[tuple[int, int]]:
        """Every (node, token) whose probability a spelling needs, each once."""
        spellings = [spelling for choices in self.spellings.values() for choice in choices for spelling in choice]
        return sorted({step for spelling in spellings for step in spelling})

    @cached_property
    def visible(self) -> np.ndarray:
        """(nodes, nodes) bools: row i is True at node i and its ancestors."""
        seen = np.eye(len(self.tokens), dtype=bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen


def grow_tree(readouts: dict[str, tuple[list[int], list[list[list[int]]]]]) -> TokenTree:
    """Tree of each read-out's prefix tokens, at least one, and the tokens of its choices' spellings."""
    tokens, parents, spellings = [], [], {}
    children = {}

    def node_after(parent, token):
        if (parent, token) not in children:
            children[parent, token] = len(tokens)
            tokens.append(token)
            parents.append(parent)
        return children[parent, token]

    for name, (prefix, choices) in readouts.items():
        start = -1
        for token in prefix:
            start = node_after(start, token)
        spellings[name] = []
        for choice in choices:
            spellings[name].append([])
            for spelling in choice:
                node, steps = start, []
                for token in spelling:
                    steps.append((node, token))
                    if len(steps) < len(spelling):
                        node = node_after(node, token)
                spellings[name][-1].append(steps)
    return TokenTree(tuple(tokens), tuple(parents), spellings)


def readout_result(choices, log_probability) -> ReadoutResult | None:
    """The read-out's distribution; None if a probability is not finite.

    choices: per choice, per spelling its steps. log_probability: of each step.
    """
    joint = np.array(
        [sum(np.exp(sum(log_probability[step] for step in steps)) for steps in spellings) for spellings in choices]
    )
    mass = joint.sum()
    if not np.isfinite(mass) or mass <= 0:
        return None
    return ReadoutResult((joint / mass).tolist(), min(1.0, float(mass)))
