"""Cells: how each total budget of thinking tokens is split between the two stages."""
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal


@dataclass(frozen=True)
class Cell:
    """One total budget and ratio with the caps they mean, all in thinking tokens per question.

    answer_thinking_ratio: in [0, 1]; None at total budget 0, where every ratio means the same.
    """

    total_budget: int
    answer_thinking_ratio: float | None
    answer_budget: int
    confidence_budget: int


def split_budget(total_budget: int, answer_thinking_ratio: float) -> tuple[int, int]:
    """Caps of the answer and the confidence stage; they add up to the total.

    The answer cap is rounded half up in decimal: in binary floats 50 x 0.29 is 14.499999999999998.
    """
    exact = Decimal(total_budget) * Decimal(str(answer_thinking_ratio))
    answer_budget = int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
    return answer_budget, total_budget - answer_budget


def make_cells(total_budgets: list[int], answer_thinking_ratios: list[float]) -> list[Cell]:
    """The grid of distinct cells, sorted by total budget, then by ratio."""
    cells = set()
    for total_budget in total_budgets:
        for ratio in answer_thinking_ratios:
            caps = split_budget(total_budget, ratio)
            cells.add(Cell(total_budget, float(ratio) if total_budget else None, *caps))
    return sorted(cells, key=lambda cell: (cell.total_budget, cell.answer_thinking_ratio or 0.0))
