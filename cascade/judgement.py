"""What thresholds from one half of the questions cost, and how often they err, on the other half."""
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from cascade.certificate import Certified
from cascade.routing import Routed, route_to_expert
from cascade.search import Candidate, Cascade, cheapest
from cascade.tiers import Tier
from scoring import metrics

FEWEST_QUESTIONS = 20  # of the half that judges; below it no interval: they were simulated down to 20 questions only


def halves(n_questions: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the questions that set the thresholds, and of those that judge them, drawn by the seed; ascending."""
    order = np.random.default_rng(seed).permutation(n_questions)
    return np.sort(order[: n_questions // 2]), np.sort(order[n_questions // 2 :])


@dataclass(frozen=True)
class Judged:
    """A deployment on the half that judges. runs: numbers of the runs that are its tiers, in their order.

    cell: index of the last run's cell that it uses; None if it uses none. candidate: None for a baseline, and where
    nothing is certified.
    """

    name: str
    runs: tuple[int, ...]
    cell: int | None
    routed: Routed
    candidate: Candidate | None = None
    is_baseline: bool = False

    def entry(self, n_runs: int) -> dict:
        """Mean cost, both risks with exact 95% intervals, and the share of the questions that each run answers."""
        routed = self.routed
        n, n_automated, n_wrong = len(routed.cost), int(routed.is_automated.sum()), int(routed.is_wrong.sum())
        shares = np.bincount(routed.answered_by, minlength=len(self.runs) + 1) / n
        of_runs = dict(zip(self.runs, shares[:-1].tolist(), strict=True))
        return {
            "n_automated": n_automated,
            "n_wrong": n_wrong,
            "cost": float(routed.cost.mean()),
            "wrong_of_automated": n_wrong / n_automated if n_automated else None,
            "wrong_of_automated_interval": exact_interval(n_wrong, n_automated),
            "automated_and_wrong": n_wrong / n,
            "automated_and_wrong_interval": exact_interval(n_wrong, n),
            "answered_by_runs": [of_runs.get(run, 0.0) for run in range(n_runs)],
            "answered_by_expert": float(shares[-1]),
        }


def exact_interval(count: int, n: int) -> dict[str, float] | None:
    """95% interval of a share (Clopper and Pearson 1934); None without any question."""
    if n == 0:
        return None
    interval = binomtest(count, n).proportion_ci(0.95, method="exact")
    return {"low": float(interval.low), "high": float(interval.high)}


def baselines(cascade: Cascade, cell: int) -> list[Judged]:
    """Each run alone, answering everything; the expert alone; the oracle. cell: of the last run, an index."""
    n, n_early = cascade.n_questions, len(cascade.early)
    alone = [answers_all(tier, run, None) for run, tier in enumerate(cascade.early)]
    alone.append(answers_all(cascade.last[cell], n_early, cell))
    expert = Judged("always expert", (), None, route_to_expert(n, cascade.expert_cost), is_baseline=True)
    return [*alone, expert, oracle([*cascade.early, cascade.last[cell]], cell, cascade.expert_cost)]


def answers_all(tier: Tier, run: int, cell: int | None) -> Judged:
    """A single tier that answers everything, asked in the order as given; without an answer it is wrong."""
    n = len(tier)
    name = "always cloud" if cell is not None else "always edge" if run == 0 else f"always run {run + 1}"
    routed = Routed(np.zeros(n, int), np.ones(n, bool), ~tier.is_correct, tier.cost["plain"])
    return Judged(name, (run,), cell, routed, is_baseline=True)


def oracle(tiers: list[Tier], cell: int, expert_cost: float) -> Judged:
    """Knows the key: a question goes straight to the cheapest tier that is right, or to the expert if none costs less.

    No cascade of these tiers that makes no error costs less.
    """
    n = len(tiers[0])
    prices = [*(np.where(tier.is_correct, tier.cost["plain"], np.inf) for tier in tiers), np.full(n, expert_cost)]
    chosen = np.argmin(prices, axis=0)
    routed = Routed(chosen, chosen < len(tiers), np.zeros(n, dtype=bool), np.min(prices, axis=0))
    return Judged("oracle", tuple(range(len(tiers))), cell, routed, is_baseline=True)


def most_accurate_cell(cascade: Cascade) -> int:
    """Index of the last run's cell with most right answers; of equal ones the cheapest, then the first."""
    ranked = [(-tier.is_correct.sum(), tier.cost["plain"].sum(), cell) for cell, tier in enumerate(cascade.last)]
    return min(ranked)[2]


def judge_cells(held_out: Cascade, certified: dict[Candidate, Certified | None]) -> list[Judged]:
    """Per cell of the last run, then for each earlier run alone, its cheapest candidate over the questions that judge.

    certified: from the other half, which also picks the candidate. The expert answers everything where none is.
    """
    groups: dict[tuple, dict] = {}
    for candidate, found in certified.items():
        key = (candidate.cell, None) if candidate.cell is not None else (None, candidate.runs)
        groups.setdefault(key, {})[candidate] = found
    judged = []
    for (cell, runs), group in groups.items():
        candidate = cheapest(group, held_out.expert_cost)
        name = "cell" if runs is None else "edge alone" if runs == (0,) else f"run {runs[0] + 1} alone"
        if candidate is None:
            routed = route_to_expert(held_out.n_questions, held_out.expert_cost)
            judged.append(Judged(name, (), cell, routed))
        else:
            routed = candidate.route(held_out, group[candidate])
            judged.append(Judged(name, candidate.runs, cell, routed, candidate))
    return judged


def cost_differences(first: Judged, others: list[Judged], seed: int) -> list[dict]:
    """Per other deployment: the mean cost of the first minus its own, with simultaneous paired bootstrap intervals."""
    per_question = np.stack([first.routed.cost - other.routed.cost for other in others])
    n = per_question.shape[1]
    intervals = [None] * len(others)
    if n >= FEWEST_QUESTIONS:
        weights = metrics.question_resamples(n, np.random.default_rng(seed))
        resampled = per_question @ weights.T.astype(float) / n
        intervals = metrics.simultaneous_intervals(per_question.mean(axis=1), resampled, n)
    return [
        {"difference": float(values.mean()), "interval": interval}
        for values, interval in zip(per_question, intervals, strict=True)
    ]
