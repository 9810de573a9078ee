"""In how many pairs of records two runs give the same answer."""
from collections.abc import Sequence

import numpy as np

from compare.compared_run import place_among
from scoring.record_columns import CellColumns


def same_answers(cells: Sequence[CellColumns], questions: Sequence[np.ndarray], alike: np.ndarray) -> dict[str, int]:
    """`n_answer_pairs`: pairs of records that both have an answer; `n_same_answers`: of these, with the same answer.

    cells: the same cell of two runs, with as many records of each question; questions: of each run, (common,) indices
    of the common questions, in one order; alike: (common,) bools, whether both give a question's options in one order.
    Answers to options in another order are not compared, so these questions have no pairs.
    """
    one, other = (_chosen(*of_run) for of_run in zip(cells, questions, strict=True))
    is_pair = (one >= 0) & (other >= 0) & alike[:, None]
    return {"n_answer_pairs": int(is_pair.sum()), "n_same_answers": int((is_pair & (one == other)).sum())}


def _chosen(cell: CellColumns, questions: np.ndarray) -> np.ndarray:
    """(common, records of a question) the option chosen, among those as given; -1 without an answer."""
    place = place_among(questions, cell)
    in_order = np.argsort(place, kind="stable")[np.count_nonzero(place < 0) :]
    return np.where(cell.is_error, -1, cell.chosen_original)[in_order].reshape(len(questions), -1)
