"""Checks by simulation that intervals, guarantees and verdicts keep what they promise; no model is needed.

    python -m checks.simulate_statistics                          # 1,000 repetitions; about 90 minutes on one core
    python -m checks.simulate_statistics --repetitions 100        # a quick look
    python -m checks.simulate_statistics --only thresholds        # one of the statements

Records are drawn from populations whose true figures are worked out exactly (checks/populations.py), then scored by the
program's own code. Every statement has a wanted range. One that falls out of it by more than three standard errors of
the simulation is marked FAILED, and the exit status is then 1.
"""
import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from checks.populations import FOR_CALIBRATION, FOR_INTERVALS, for_thresholds
from checks.simulated_arms import paired_arms
from scoring import metrics
from scoring.cell_intervals import NO_INTERVAL, metric_intervals
from scoring.comparisons import compare
from scoring.guaranteed_thresholds import coverage_lower_bound, guaranteed_threshold

TARGET_ERROR = 0.05
DEPENDENCES = ((1, 0.0), (5, 0.0), (5, 0.3), (5, 0.6), (5, 1.0))  # permutations and outcome correlation
ERRORS_ALLOWED = 3  # standard errors of the simulation


@dataclass(frozen=True)
class Share:
    """How often something happened in the repetitions that could show it; wanted: smallest and largest share.

    wanted is None where a share is only told. count may be a sum of numbers in [0, 1]: the value is then their mean,
    and its standard error at most the one given.
    """

    name: str
    count: float
    repetitions: int
    wanted: tuple[float, float] | None = None

    @property
    def value(self) -> float:
        """In [0, 1]; NaN without repetitions."""
        return self.count / self.repetitions if self.repetitions else float("nan")

    def standard_error(self, share: float) -> float:
        """Of the simulation, if the true share were this one."""
        return float(np.sqrt(share * (1 - share) / max(self.repetitions, 1)))

    @property
    def has_failed(self) -> bool:
        """Whether the share is out of the wanted range by more than the simulation's error allows."""
        if self.wanted is None or not self.repetitions:
            return False
        low, high = self.wanted
        return (
            self.value < low - ERRORS_ALLOWED * self.standard_error(low)
            or self.value > high + ERRORS_ALLOWED * self.standard_error(high)
        )

    def __str__(self):
        words = f"{self.name}: {self.value:.3f} (standard error {self.standard_error(self.value):.3f})"
        if self.repetitions == 0:
            words = f"{self.name}: never defined"
        if self.wanted:
            words += f", wanted {self.wanted[0]:g} to {self.wanted[1]:g}"
        return words + (" FAILED" if self.has_failed else "")


# --- one cell ----------------------------------------------------------------------------------------------------


def wanted_coverage(metric: str, n_questions: int) -> tuple[float, float]:
    """Smallest and largest share of 95% intervals that should contain the truth.

    Of an accuracy near 1 Wilson's interval contains the truth in as little as 0.904 (99% right, 10 questions, exact).
    E-AURC is a difference of two figures, and a few losses can be most of a log score. From 1,000 questions on an
    interval must not be too wide either.
    """
    may_be_low = metric in ("accuracy", "e_aurc", "log_score") or n_questions < 50
    return 0.90 if may_be_low else 0.93, 0.99 if n_questions >= 1000 else 1.0


def interval_coverage(n_questions: int, repetitions: int, rng: np.random.Generator) -> Iterator[Share]:
    """How often the 95% interval of each metric contains the true value, where there is an interval."""
    for title, population in FOR_INTERVALS.items():
        truth = population.truth(TARGET_ERROR)
        for n_permutations, correlation in DEPENDENCES:
            hits, defined = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
            for _ in range(repetitions):
                confidence, is_correct, question, _ = population.draw(n_questions, n_permutations, correlation, rng)
                for name, interval in metric_intervals(confidence, is_correct, question, TARGET_ERROR).items():
                    if interval is not None:
                        defined[name] += 1
                        hits[name] += interval["low"] - 1e-12 <= truth[name] <= interval["high"] + 1e-12
            where = f"{title}, {_dependence(n_permutations, correlation)}"
            for name in (name for name in hits if name not in NO_INTERVAL):
                # a few sets of records that happen to have an interval say little: they are the lucky ones
                enough = defined[name] >= repetitions / 2
                wanted = wanted_coverage(name, n_questions) if enough else None
                yield Share(f"{where}, {name}", hits[name], defined[name], wanted)


def calibrated_ece(n_questions: int, repetitions: int, rng: np.random.Generator) -> Iterator[Share]:
    """How often a calibrated model's ECE lies in the range that is given beside it."""
    for title, population in FOR_CALIBRATION.items():
        for n_permutations, correlation in DEPENDENCES:
            hits = 0
            for _ in range(repetitions):
                confidence, is_correct, _, permutation = population.draw(n_questions, n_permutations, correlation, rng)
                found = metrics.ece_beside_calibrated(confidence, is_correct, permutation == 0, rng)
                hits += found["ece_if_calibrated"]["low"] <= found["ece"] <= found["ece_if_calibrated"]["high"]
            where = f"{title}, {_dependence(n_permutations, correlation)}"
            yield Share(where, hits, repetitions, (0.93, 0.97))


def thresholds(n_questions: int, repetitions: int, rng: np.random.Generator) -> Iterator[Share]:
    """How often a certified threshold errs too much, and the bound of the coverage is too high; what they find."""
    for title, population in for_thresholds(TARGET_ERROR).items():
        reachable = population.truth(TARGET_ERROR)["coverage_at_target"]
        failures = overshoots = certified = covered = bounds = 0
        for _ in range(repetitions):
            confidence, is_correct, _, _ = population.draw(n_questions, 1, 0.0, rng)
            found = guaranteed_threshold(confidence, is_correct, TARGET_ERROR)
            if found["threshold"] is not None:
                certified += 1
                covered += found["coverage"]
                failures += population.error_above(found["threshold"]) > TARGET_ERROR
            bound = coverage_lower_bound(confidence, is_correct, TARGET_ERROR)
            bounds += bound
            overshoots += bound > reachable
        yield Share(f"{title}, threshold errs more than the target", failures, repetitions, (0.0, 0.05))
        yield Share(f"{title}, lower bound of the coverage is too high", overshoots, repetitions, (0.0, 0.05))
        yield Share(f"{title}, a threshold was certified", certified, repetitions)
        yield Share(f"{title}, mean certified coverage (of {reachable:.3f})", covered, repetitions)
        yield Share(f"{title}, mean lower bound of the coverage", bounds, repetitions)


def _dependence(n_permutations, correlation):
    return f"{n_permutations} permutations with correlation {correlation:g}" if n_permutations > 1 else "1 permutation"


# --- arms --------------------------------------------------------------------------------------------------------


def false_verdicts(n_questions: int, repetitions: int, rng: np.random.Generator) -> Iterator[Share]:
    """How often one of five equal arms is called worse than another."""
    count = 0
    for _ in range(repetitions):
        arms = paired_arms(n_questions, [0.0] * 5, 0.6, rng)
        count += len(compare(arms, n_questions, n_questions)["by_budget"][0]["unbeaten_ratios"]) < 5
    yield Share("one of five equal arms called worse", count, repetitions, (0.0, 0.05))


def planted_difference(n_questions: int, repetitions: int, rng: np.random.Generator) -> Iterator[Share]:
    """How often one arm of three, better by 0.05, is found by paired and by unpaired intervals.

    Unpaired: the two arms' own 95% intervals do not overlap.
    """
    paired = unpaired = 0
    for _ in range(repetitions):
        arms = paired_arms(n_questions, [0.0, 0.0, 0.05], 0.97, rng)
        paired += compare(arms, n_questions, n_questions)["by_budget"][0]["unbeaten_ratios"] == [0.5]
        own = [
            metric_intervals(
                arm.columns.confidence("confidence"), arm.columns.is_correct, arm.columns.question, TARGET_ERROR
            )["aurc"]
            for arm in arms
        ]
        unpaired += own[2]["high"] < min(own[0]["low"], own[1]["low"])
    yield Share("an arm better by 0.05 found, paired", paired, repetitions)
    yield Share("an arm better by 0.05 found, unpaired", unpaired, repetitions)


# --- all of them -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Statement:
    """What is simulated, and at which numbers of questions."""

    title: str
    simulate: Callable[[int, int, np.random.Generator], Iterator[Share]]
    question_counts: tuple[int, ...]


STATEMENTS = {
    "intervals": Statement("95% intervals of a cell contain the truth", interval_coverage, (10, 20, 50, 200, 1000)),
    "calibration": Statement("a calibrated model's ECE is in its range", calibrated_ece, (50, 200, 1000)),
    "thresholds": Statement("guaranteed thresholds and the bound of the coverage", thresholds, (200, 1000, 5000)),
    "verdicts": Statement("equal arms", false_verdicts, (200, 1000)),
    "differences": Statement("unequal arms", planted_difference, (200, 1000)),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the simulations, prints their shares; returns the exit status, 1 if a statement failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=STATEMENTS, default=list(STATEMENTS))
    parser.add_argument("--questions", type=int, nargs="+", help="instead of each statement's own numbers")
    args = parser.parse_args(arguments)
    n_shares = n_failed = 0
    for name in args.only:
        statement = STATEMENTS[name]
        for n_questions in args.questions or statement.question_counts:
            print(f"{statement.title}: {n_questions:,} questions, {args.repetitions:,} repetitions", flush=True)
            rng = np.random.default_rng(args.seed)
            for share in statement.simulate(n_questions, args.repetitions, rng):
                print(f"  {share}", flush=True)
                n_shares += 1
                n_failed += share.has_failed
    print(f"{n_shares} shares, {n_failed} out of their wanted range")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
