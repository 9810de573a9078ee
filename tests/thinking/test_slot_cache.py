import numpy as np

from thinking.slot_cache import Fork, fork_lines


def fork(slot, n_nodes, columns=5, is_broken=False):
    return Fork(slot, columns, np.arange(n_nodes), np.arange(n_nodes), np.eye(n_nodes, dtype=bool), is_broken)


def test_forks_of_one_row_are_fed_together_but_not_those_of_a_broken_thought():
    forks = [fork(0, 2), fork(1, 3), fork(0, 4, columns=9), fork(2, 1, is_broken=True), fork(2, 1, is_broken=True)]
    lines = fork_lines(forks)
    assert [(line.numbers, line.starts, line.width, line.columns) for line in lines] == [
        ([0, 2], [0, 2], 6, 9), ([1], [0], 3, 5), ([3], [0], 1, 5), ([4], [0], 1, 5)
    ]  # fmt: skip
