"""Read-outs as trees of forced tokens after a thought, and what their probabilities mean."""
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

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

    @cached_property
    def reads(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of `steps`: (reads,) the nodes, each once; (steps,) where its node stands there; (steps,) its token."""
        nodes, tokens = np.array(self.steps).T
        read_nodes, read = np.unique(nodes, return_inverse=True)
        return read_nodes, read, tokens

    def after(self, lead: int) -> tuple[np.ndarray, np.ndarray]:
        """Of so many tokens in a row and then the tree: (tokens,) depths, and (tokens, tokens) what each attends to."""
        if lead not in self._after:
            visible = np.tri(lead + len(self.tokens), dtype=bool)
            visible[lead:, lead:] = self.visible
            self._after[lead] = np.concatenate([np.arange(lead), lead + self.depths]), visible
        return self._after[lead]

    @cached_property
    def _after(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        return {}

    def results(self, log_probabilities: np.ndarray) -> list[dict[str, ReadoutResult | None]]:
        """Per place and read-out its distribution; None if a probability is not finite.

        log_probabilities: (places, steps), in the order of `steps`.
        """
        values = np.pad(log_probabilities, [(0, 0), (0, 1)])  # the last one, 0, is what fills up
        by_readout = [self._distributions(values, *numbers) for numbers in self._step_numbers.values()]
        return [dict(zip(self._step_numbers, of_place, strict=True)) for of_place in zip(*by_readout, strict=True)]

    @staticmethod
    def _distributions(values, numbers, first) -> list[ReadoutResult | None]:
        """Of one read-out, per place."""
        # Places that are not finite make their own sums NaN or infinite, and are told apart below.
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            joint = np.add.reduceat(np.exp(values[:, numbers].sum(axis=1)), first, axis=1)
            mass = joint.sum(axis=1)
            shares = (joint / mass[:, None]).tolist()
        return [
            ReadoutResult(of_place, min(1.0, total)) if isfinite(total) and total > 0 else None
            for of_place, total in zip(shares, mass.tolist(), strict=True)
        ]

    @cached_property
    def _step_numbers(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Per read-out: (longest, spellings) places in `steps`, short spellings filled up; (choices,) first spellings.

        What fills up is the place after the last step.
        """
        place, found = {step: number for number, step in enumerate(self.steps)}, {}
        for name, choices in self.spellings.items():
            spellings = [spelling for choice in choices for spelling in choice]
            numbers = np.full((max(map(len, spellings)), len(spellings)), len(self.steps))
            for column, spelling in enumerate(spellings):
                numbers[: len(spelling), column] = [place[step] for step in spelling]
            found[name] = numbers, np.cumsum([0, *map(len, choices[:-1])])
        return found


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

