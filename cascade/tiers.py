"""The tiers of a cascade: the questions that all runs share, with what each tier says of them and what it costs."""
from dataclasses import dataclass

import numpy as np

from basics.errors import UserError
from cascade.costs import TierCost
from cascade.run_answers import RunAnswers

RULES = ("plain", "uncertainty")  # by the confidence alone; by its spread over permutations too


@dataclass(frozen=True)
class Tier:
    """One cell of a run as a tier. All arrays are (questions,), in the order of the common questions.

    confidence: of permutation 0, NaN where it is missing. uncertainty: standard deviation of the confidence over the
    permutations, NaN where one of them is missing, and everywhere with a single permutation. is_correct: of permutation
    0. cost: by rule, money; "plain" asks in the order as given alone, "uncertainty" in all orders.
    """

    confidence: np.ndarray
    uncertainty: np.ndarray
    is_correct: np.ndarray
    cost: dict[str, np.ndarray]

    def __len__(self):
        return len(self.confidence)

    def of(self, chosen: np.ndarray) -> "Tier":
        """The same tier over some of its questions. chosen: indices or a mask."""
        cost = {rule: values[chosen] for rule, values in self.cost.items()}
        return Tier(self.confidence[chosen], self.uncertainty[chosen], self.is_correct[chosen], cost)


def make_tier(run: RunAnswers, cell: int, questions: np.ndarray, cost: TierCost) -> Tier:
    """One cell of a run over some of its questions. cell, questions: indices."""
    confidence, tokens = run.confidence[cell, questions], run.tokens[cell, questions]
    spread = confidence.std(axis=1) if run.n_permutations > 1 else np.full(len(questions), np.nan)
    # Two equal numbers may have a standard deviation of 1e-17; a spread of that size is none.
    return Tier(
        confidence=confidence[:, 0],
        uncertainty=np.round(spread, 12),
        is_correct=run.is_correct[cell, questions, 0],
        cost={
            "plain": cost.of_questions(tokens[:, 0].astype(float)),
            "uncertainty": cost.of_questions(tokens.sum(axis=1).astype(float)),
        },
    )


def fixed_cell(run: RunAnswers) -> int:
    """Index of the cell that a run before the last contributes: its only one, or the one without any thinking.

    Raises UserError if it has several and none of them is without thinking: the choice must not be made by the results.
    """
    without = [index for index, (total_budget, _) in enumerate(run.cells) if total_budget == 0]
    if len(run.cells) == 1:
        return 0
    if not without:
        raise UserError(
            f"{run.folder}: {len(run.cells)} cells, all with thinking; allowed before the last run is one cell, or one"
            " of total budget 0, which is then taken"
        )
    return without[0]
