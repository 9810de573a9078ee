"""What a split can be chosen by, and for whom each criterion is right."""
from dataclasses import dataclass

from scoring.record_schema import CONFIDENCE_TITLES
from scoring.utility import break_even, utility_name


def with_article(confidence: str) -> str:
    """As in the middle of a sentence: `the verbalised confidence`."""
    title = CONFIDENCE_TITLES[confidence]
    return title if confidence == "p_true" else f"the {title}"


@dataclass(frozen=True)
class Criterion:
    """A metric that names a best ratio.

    title: as in the middle of a sentence. purpose: begins a sentence that ends "take ratio ..."; user: whom it serves,
    a sentence. largest_difference: no two values are further apart. needs_gain: a ratio is best only if its value is
    above 0. wrong_answer_cost: of a utility.
    """

    name: str
    title: str
    purpose: str = ""
    user: str = ""
    lower_is_better: bool = False
    largest_difference: float = 1.0
    wrong_answer_cost: float | None = None
    needs_gain: bool = False


AURC = Criterion(
    "aurc", "AURC", "To have few errors among the answers used",
    "You do not know yet how many answers you will use; the error rate among those used counts.",
    lower_is_better=True,
)  # fmt: skip
AUGRC = Criterion(
    "augrc", "AUGRC", "To let few errors pass among all answers",
    "You do not know yet how many answers you will use; every error that passes counts, out of all answers.",
    lower_is_better=True,
)  # fmt: skip
ACCURACY = Criterion("accuracy", "accuracy", "To use every answer", "You use every answer.")
COVERAGE = Criterion(
    "coverage_at_target", "coverage", "To use most answers at the target error",
    "You use as many answers as the target error allows.", needs_gain=True,
)  # fmt: skip


def utility_criterion(cost: float) -> Criterion:
    """Expected utility where a wrong answer costs that many times what a right one brings."""
    times = "as much as a right one brings" if cost == 1 else f"{cost:g} times what a right one brings"
    return Criterion(
        utility_name(cost), f"utility at cost {cost:g}", f"If a wrong answer costs {times}",
        f"A wrong answer costs you {times}, and you withhold answers whose confidence is below {break_even(cost):.3g}.",
        largest_difference=1 + cost, wrong_answer_cost=cost, needs_gain=True,
    )  # fmt: skip


def criteria(wrong_answer_costs: list[float]) -> list[Criterion]:
    """All of them; the first decides."""
    return [AURC, AUGRC, ACCURACY, COVERAGE, *map(utility_criterion, wrong_answer_costs)]
