"""Checks by simulation that a cascade's certificate fails at most as often as it says, and how much it finds.

    python -m checks.simulate_cascade                      # 500 repetitions each; about 4 minutes on one core
    python -m checks.simulate_cascade --repetitions 100    # a quick look

Questions are drawn from populations whose true risks are worked out exactly, by a sum over all that a question can be,
and searched by the program's own code. A repetition is a failure if anything at all that it certifies, in any cell,
with any tiers, under any rule, in either reading of the risk, is not below the target. Ends with status 1 if failures
are more than chance allows.

Power: the cost that the certified thresholds save, as a share of what the cheapest thresholds save that truly are below
the target. Those are found by brute force: every setting of the search, routed question by question. The last column
is the largest difference between the counts of the search and those of the same brute force.
"""
import argparse
import sys
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from cascade.certificate import ERROR_LEVEL, GRID, READINGS, Certified, fallback, p_values, start_levels, walks
from cascade.routing import Thresholds, route
from cascade.search import Candidate, Cascade, candidate_level, candidates, cheapest, search
from cascade.tiers import RULES, Tier

QUESTION_COUNTS = (300, 1000)
N_CELLS = 3  # of the last run
EXPERT_COST = 1.0
COSTS = (0.001, 0.02)  # of the edge and the cloud, per question and order
N_ORDERS = 3  # the uncertainty rule asks in all of them
MOST_BY_CHANCE = 0.999  # quantile of the failures at exactly ERROR_LEVEL; more is a fault


@dataclass(frozen=True)
class Population:
    """Kinds of questions, with the share of each; a draw is a kind, and all tiers' values follow from it.

    confidence, uncertainty: (tiers, kinds); p_wrong: (tiers, kinds), as if drawn apart. shared: probability that one
    draw decides for all tiers at once, so that edge and cloud err together.
    """

    share: np.ndarray
    confidence: np.ndarray
    uncertainty: np.ndarray
    p_wrong: np.ndarray
    shared: float

    def draw(self, n: int, rng: np.random.Generator) -> Cascade:
        """n questions."""
        kind = rng.choice(len(self.share), n, p=self.share)
        common, is_shared = rng.random(n), rng.random(n) < self.shared
        tiers = [
            self.tier(place, kind, np.where(is_shared, common, rng.random(n)) < self.p_wrong[place, kind])
            for place in range(len(self.confidence))
        ]
        return Cascade(tiers[:1], tiers[1:], EXPERT_COST)

    def tier(self, place: int, kind: np.ndarray, is_wrong: np.ndarray) -> Tier:
        """A tier over questions of these kinds."""
        cost = np.full(len(kind), COSTS[min(place, 1)])
        costs = dict(zip(RULES, (cost, N_ORDERS * cost), strict=True))
        return Tier(self.confidence[place, kind], self.uncertainty[place, kind], ~is_wrong, costs)

    def truth(self, candidate: Candidate, thresholds: Thresholds) -> tuple[float, float, float]:
        """Exact share automated, share automated and wrong, and mean cost. One tier answers a question of a kind."""
        kinds = np.arange(len(self.share))
        cascade = Cascade(*self._tiers_by_kind(kinds), EXPERT_COST)
        routed = route(candidate.tiers(cascade), thresholds, EXPERT_COST)
        places = np.array([run if run == 0 else 1 + candidate.cell for run in candidate.runs] + [0])
        p_wrong = self.p_wrong[places[routed.answered_by], kinds]
        automated = self.share[routed.is_automated]
        return automated.sum(), (automated * p_wrong[routed.is_automated]).sum(), (self.share * routed.cost).sum()

    def _tiers_by_kind(self, kinds):
        tiers = [self.tier(place, kinds, np.zeros(len(kinds), dtype=bool)) for place in range(len(self.confidence))]
        return tiers[:1], tiers[1:]


# --- populations ---------------------------------------------------------------------------------------------------


def _population(name: str, target: float, rng: np.random.Generator) -> Population:
    n_kinds, n_tiers = 60, 1 + N_CELLS
    share = rng.dirichlet(np.full(n_kinds, 2.0))
    hardness = np.linspace(0, 1, n_kinds)[None, :] ** np.linspace(1, 2.5, n_tiers)[:, None]
    p_wrong = 0.7 * hardness**2
    noise = rng.normal(0, 0.05, (n_tiers, n_kinds))
    confidence = np.clip(1 - 0.9 * hardness + noise, 0, 1)
    uncertainty = np.clip(0.3 * hardness + np.abs(noise), 0, 0.5)
    shared = 0.3
    if name == "at the edge":  # every answer of every tier is wrong with a hair more than the target
        p_wrong = np.full_like(p_wrong, target + 1e-9)
    elif name == "errors together":
        p_wrong, shared = np.full_like(p_wrong, target + 1e-9), 1.0
    elif name == "surest are wrong":  # good in the middle, bad at the top: a walk may not be trusted beyond a test
        p_wrong = np.where(confidence > 0.9, 2 * target, 0.4 * target)
    elif name == "not monotone":
        p_wrong = np.clip(target * (1 + 0.9 * np.sin(12 * confidence)), 0, 1)
    elif name == "ties":
        confidence = np.round(confidence * 4) / 4
        p_wrong = np.clip(target * (1.9 - 1.4 * confidence), 0, 1)
    elif name == "uncertainty useless":
        uncertainty = rng.uniform(0, 0.3, uncertainty.shape)
    elif name == "confidence useless":
        confidence = np.round(rng.random(confidence.shape), 2)
        p_wrong = np.full_like(p_wrong, 1.2 * target)
    elif name == "one cell good":
        p_wrong[:-1] = np.maximum(p_wrong[:-1], 1.05 * target)
    elif name == "good":
        p_wrong = 0.25 * hardness**3
    return Population(share, np.round(confidence, 2), np.round(uncertainty, 3), p_wrong, shared)


NAMES = (
    "good", "spread", "one cell good", "uncertainty useless", "confidence useless", "at the edge", "errors together",
    "surest are wrong", "not monotone", "ties",
)  # fmt: skip


# --- what is measured ----------------------------------------------------------------------------------------------


def true_values(population: Population, cascade: Cascade) -> dict[Candidate, np.ndarray]:
    """By candidate (walks, len(GRID), 3): share automated, share automated and wrong, and mean cost of each setting."""
    return {
        candidate: np.array([
            [population.truth(candidate, walk.thresholds(step)) for step in range(len(GRID))]
            for walk in walks(candidate.tiers(cascade), candidate.rule, EXPERT_COST)
        ])
        for candidate in candidates(cascade)
    }


def true_risk(values: np.ndarray, reading: str) -> np.ndarray:
    """The risk that a reading means; 0 where nothing is automated. values: (..., 3), as in true_values."""
    automated, wrong = values[..., 0], values[..., 1]
    if reading == "automated_and_wrong":
        return wrong
    return np.divide(wrong, automated, out=np.zeros_like(wrong), where=automated > 0)


def certifies_too_much(cascade: Cascade, truths: dict, target: float, level_factor: float = 1.0) -> bool:
    """Whether anything that the search certifies, not the cheapest alone, has a risk that is not below the target.

    level_factor: other than 1 for a certificate that is deliberately wrong, to see that this check can fail.
    """
    for candidate, values in truths.items():
        found = walks(candidate.tiers(cascade), candidate.rule, EXPERT_COST)
        automated, wrong = (np.array([getattr(walk, name) for walk in found]) for name in ("n_automated", "n_wrong"))
        level = level_factor * candidate_level(candidate, cascade)
        for reading in READINGS:
            p = p_values(automated, wrong, cascade.n_questions, reading, target)
            certified = ~np.isnan(fallback(p, start_levels(len(found), reading, level)))
            if np.any(certified & (true_risk(values, reading) >= target)):
                return True
    return False


def cheapest_in_truth(truths: dict, reading: str, target: float) -> float:
    """Mean cost of the cheapest setting whose true risk is below the target; the expert's cost if none is cheaper."""
    allowed = [values[..., 2][true_risk(values, reading) < target] for values in truths.values()]
    return min(EXPERT_COST, float(np.concatenate(allowed).min(initial=EXPERT_COST)))


def count_difference(cascade: Cascade, rng: np.random.Generator, n_settings: int = 40) -> float:
    """Largest difference in counts and cost between the search and routing question by question, of drawn settings."""
    largest = 0.0
    everything = candidates(cascade)
    for _ in range(n_settings):
        candidate = everything[rng.integers(len(everything))]
        tiers = candidate.tiers(cascade)
        found = walks(tiers, candidate.rule, EXPERT_COST)
        walk, step = found[rng.integers(len(found))], int(rng.integers(len(GRID)))
        routed = route(tiers, walk.thresholds(step), EXPERT_COST)
        pairs = ((walk.n_automated, routed.is_automated), (walk.n_wrong, routed.is_wrong), (walk.cost, routed.cost))
        largest = max(largest, *(abs(float(counted[step]) - float(one.sum())) for counted, one in pairs))
    return largest


def simulate(name: str, n: int, repetitions: int, target: float, seed: int, level_factor: float = 1.0) -> dict:
    """Failures of the certificate on one population, and per reading its power; see the top of the file."""
    rng = np.random.default_rng([seed, NAMES.index(name), n])
    population = _population(name, target, rng)
    truths = true_values(population, population.draw(2, rng))
    best = {reading: cheapest_in_truth(truths, reading, target) for reading in READINGS}
    failures, saved, difference = 0, {reading: 0.0 for reading in READINGS}, 0.0
    for repetition in range(repetitions):
        cascade = population.draw(n, rng)
        failures += certifies_too_much(cascade, truths, target, level_factor)
        if repetition < 100:  # enough for a mean
            for reading, found in search(cascade, target).items():
                saved[reading] += EXPERT_COST - _true_cost(found, population)
            difference = max(difference, count_difference(cascade, rng, 5))
    n_saved = min(repetitions, 100)
    return {
        "failures": failures,
        "possible": {reading: EXPERT_COST - cost for reading, cost in best.items()},
        "saved": {reading: value / n_saved for reading, value in saved.items()},
        "difference": difference,
    }


def _true_cost(found: dict[Candidate, Certified | None], population: Population) -> float:
    """What the cheapest certified candidate truly costs; the expert's cost where nothing is certified."""
    chosen = cheapest(found, EXPERT_COST)
    return EXPERT_COST if chosen is None else population.truth(chosen, found[chosen].thresholds)[2]


def most_failures(repetitions: int) -> int:
    """Failures that a certificate at exactly ERROR_LEVEL exceeds with probability 1 - MOST_BY_CHANCE at most."""
    return int(binom.ppf(MOST_BY_CHANCE, repetitions, ERROR_LEVEL))


def main(argv: list[str]) -> int:
    """Runs every simulation, prints a line each, and returns 1 if one of them found a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=500)
    parser.add_argument("--target-error", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    status, most = 0, most_failures(args.repetitions)
    print(f"target error {args.target_error:g}, {args.repetitions:,} repetitions; at most {most:,} failures are chance")
    titles = [f"{reading}: saved of possible" for reading in READINGS]
    print(f"{'population':<22}{'questions':>10}{'failures':>10}", *titles, "counts")
    for n in QUESTION_COUNTS:
        for name in NAMES:
            found = simulate(name, n, args.repetitions, args.target_error, args.seed)
            is_fault = found["failures"] > most or found["difference"] > 1e-6
            status = max(status, int(is_fault))
            saved = [f"{found['saved'][one]:.3f} of {found['possible'][one]:.3f}" for one in READINGS]
            share = found["failures"] / args.repetitions
            print(f"{name:<22}{n:>10,}{share:>10.4f}", *(f"{one:>40}" for one in saved),
                  f"{found['difference']:.1g}{'  FAULT' if is_fault else ''}", flush=True)  # fmt: skip
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
