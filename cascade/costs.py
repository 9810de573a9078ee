"""What a question costs at each tier and at the expert, in the user's own unit of money."""
from dataclasses import dataclass

import numpy as np

from basics.errors import UserError

TOKENS_PER_PRICE = 1_000_000


@dataclass(frozen=True)
class TierCost:
    """How a tier is paid: per_million, money for a million tokens of any kind, or per_question; the other is None."""

    per_million: float | None
    per_question: float | None

    def of_questions(self, tokens: np.ndarray) -> np.ndarray:
        """Cost of each question, in money. tokens: (questions,) that the tier took for it."""
        if self.per_million is not None:
            return tokens * (self.per_million / TOKENS_PER_PRICE)
        return np.full(len(tokens), self.per_question)

    @property
    def text(self) -> str:
        """In words."""
        if self.per_million is not None:
            return f"{self.per_million:g} per million tokens"
        return f"{self.per_question:g} per question"


def read_costs(texts: list[str], n_runs: int) -> tuple[list[TierCost], float]:
    """How each run is paid, in their order, and what the expert costs per question.

    texts: CASCADE_COSTS as the settings give it. Raises UserError if there is not one per run and one for the expert.
    """
    if len(texts) != n_runs + 1:
        raise UserError(
            f"CASCADE_COSTS {' '.join(texts)}: {len(texts)} costs; allowed is one for each of the {n_runs} runs, in"
            " their order, and one for the expert"
        )
    *tiers, expert = map(_cost, texts)
    if expert.per_question is None:
        raise UserError(f"CASCADE_COSTS {texts[-1]}: the last cost is the expert's; allowed is a cost per question")
    return tiers, expert.per_question


def _cost(text: str) -> TierCost:
    number = float(text.removesuffix("/M"))
    return TierCost(number, None) if text.endswith("/M") else TierCost(None, number)
