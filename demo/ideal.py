"""What an ideal reasoner reaches on the demo's task, by arithmetic: the oracle for the experiment's curves.

The ideal reasoner writes down hops without mistakes. Its answer is right if its answer budget reaches the gateway, else
it guesses. As a judge it knows whether the answer is right if its own budget reaches the gateway, else it states how
often such answers are right. It knows nothing else. All figures are limits for many questions.
"""
from dataclasses import dataclass
from math import log

from demo.task import LONGEST_CHAIN, frequency_correct, frequency_correct_beyond, hops_seen


@dataclass(frozen=True)
class ConfidenceGroup:
    """Answers that share a confidence: their share of all answers, and the share of all that are wrong among them."""

    confidence: float
    share: float
    wrong: float


def ideal_groups(answer_budget: int, confidence_budget: int) -> list[ConfidenceGroup]:
    """At most three groups, confidence falling: known to be right, not known, known to be wrong."""
    judged = min(hops_seen(confidence_budget), LONGEST_CHAIN)
    right = sum(frequency_correct(hops, answer_budget) for hops in range(1, judged + 1)) / LONGEST_CHAIN
    judged_share = judged / LONGEST_CHAIN
    groups = [ConfidenceGroup(1.0, right, 0.0)]
    if judged < LONGEST_CHAIN:
        frequency, share = frequency_correct_beyond(judged, answer_budget), 1 - judged_share
        groups.append(ConfidenceGroup(frequency, share, share * (1 - frequency)))
    groups.append(ConfidenceGroup(0.0, judged_share - right, judged_share - right))
    return [group for group in groups if group.share > 0]


def ideal_accuracy(answer_budget: int) -> float:
    """Share of right answers."""
    return frequency_correct_beyond(0, answer_budget)


def ideal_aurc(answer_budget: int, confidence_budget: int) -> float:
    """Area under the risk-coverage curve; errors are spread evenly inside a group."""
    area = used = errors = 0.0
    for group in ideal_groups(answer_budget, confidence_budget):
        # Integral of (errors + (x - used) rate) / x over the coverages x of the group
        rate = group.wrong / group.share
        area += group.wrong + ((errors - used * rate) * log((used + group.share) / used) if used else 0.0)
        used, errors = used + group.share, errors + group.wrong
    return area


def ideal_coverage(answer_budget: int, confidence_budget: int, target_error: float) -> float:
    """Largest share of answers that can be used with an error rate <= target_error, in (0, 1).

    A group may be used in part, at random: finer than `metrics.coverage_at_target`, which takes whole groups.
    """
    used = errors = 0.0
    for group in ideal_groups(answer_budget, confidence_budget):
        rate = group.wrong / group.share
        if errors + group.wrong > target_error * (used + group.share):
            # errors + x rate = target (used + x); without a safe group before it, nothing of a bad group can be used
            return used + (target_error * used - errors) / (rate - target_error)
        used, errors = used + group.share, errors + group.wrong
    return used


def ideal_auroc(answer_budget: int, confidence_budget: int) -> float | None:
    """Probability that a right answer carries more confidence than a wrong one; None if none is wrong."""
    groups = ideal_groups(answer_budget, confidence_budget)
    all_wrong = sum(group.wrong for group in groups)
    all_right = sum(group.share - group.wrong for group in groups)
    if min(all_wrong, all_right) <= 1e-12:
        return None
    pairs, wrong_below = 0.0, all_wrong
    for group in groups:
        wrong_below -= group.wrong
        pairs += (group.share - group.wrong) * (wrong_below + group.wrong / 2)
    return pairs / (all_right * all_wrong)


def ideal_table(cells: list, target_error: float) -> str:
    """What a reasoner without a slip reaches on the demo's task, a line per cell (`runs.budgets.Cell`).

    It is the known truth beside which the demo's results stand.
    """
    lines = ["", "An ideal reasoner on all the demo's questions, by arithmetic (demo/ideal.py):"]
    lines.append(f"{'budget':>7}{'ratio':>7}{'accuracy':>19}{'AUROC':>37}{'AURC':>7}{f'cover@{target_error:g}':>12}")
    for cell in cells:
        caps = (cell.answer_budget, cell.confidence_budget)
        line = f"{cell.total_budget:>7}{_shown(cell.answer_thinking_ratio, 2):>7}{ideal_accuracy(caps[0]):>19.3f}"
        line += f"{_shown(ideal_auroc(*caps), 3):>37}{ideal_aurc(*caps):>7.3f}"
        lines.append(line + f"{ideal_coverage(*caps, target_error):>12.3f}")
    return "\n".join([*lines, ""])


def _shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
