"""Checks by simulation that intervals, guarantees and verdicts keep what they promise; no model is needed.

    python -m checks.simulate_statistics                          # 1,000 repetitions each; about 20 minutes on one core
    python -m checks.simulate_statistics --repetitions 100        # a quick look

Records are drawn from populations whose true figures are worked out exactly, then scored by the program's own code.
"""
import argparse
from dataclasses import dataclass
from math import log

import numpy as np

from scoring import metrics
from scoring.comparisons import METRIC_NAMES, Arm, compare
from scoring.guaranteed_thresholds import guaranteed_threshold
from scoring.record_columns import CellColumns

TARGET_ERROR = 0.1  # of the simulated coverage at target
QUESTION_COUNTS = (200, 1000)


@dataclass(frozen=True)
class Population:
    """Confidences that can be stated, falling, with their shares of all answers and the accuracy at each."""

    confidence: np.ndarray
    share: np.ndarray
    accuracy: np.ndarray

    def truth(self) -> dict[str, float]:
        """Exact values of metrics with an interval, in the limit of many questions."""
        value, share, right = self.confidence, self.share, self.share * self.accuracy
        wrong = share - right
        used, errors = np.cumsum(share), np.cumsum(wrong)
        pairs = sum(right[i] * (wrong[i + 1 :].sum() + wrong[i] / 2) for i in range(len(value)))
        pairs_wrong_way = right.sum() * wrong.sum() - pairs
        area = wrong[0]
        for i in range(1, len(value)):
            rate = wrong[i] / share[i]
            area += wrong[i] + (errors[i - 1] - used[i - 1] * rate) * log(used[i] / used[i - 1])
        clipped = np.clip(value, metrics.LOG_SCORE_CLIP, 1 - metrics.LOG_SCORE_CLIP)
        return {
            "accuracy": right.sum(),
            "brier": (right * (1 - value) ** 2 + wrong * value**2).sum(),
            "log_score": -(right * np.log(clipped) + wrong * np.log(1 - clipped)).sum(),
            "auroc": pairs / (right.sum() * wrong.sum()),
            "aurc": area,
            "e_aurc": area - (wrong.sum() + right.sum() * log(right.sum())),
            "augrc": pairs_wrong_way + wrong.sum() ** 2 / 2,
            "overconfidence": (share * value).sum() - right.sum(),
            "coverage_at_target": used[errors / used <= TARGET_ERROR].max(initial=0),
        }

    def draw(self, n_questions: int, n_permutations: int, rng: np.random.Generator):
        """Confidence and correctness of (questions x permutations) answers, and the question of each.

        Each further permutation repeats the first with probability 1/2: a question's answers depend on each other.
        """
        columns = []
        for permutation in range(n_permutations):
            group = rng.choice(len(self.share), n_questions, p=self.share)
            is_correct = rng.random(n_questions) < self.accuracy[group]
            if permutation:
                again = rng.random(n_questions) < 0.5
                group = np.where(again, columns[0][0], group)
                is_correct = np.where(again, columns[0][1], is_correct)
            columns.append((group, is_correct))
        group, is_correct = (np.concatenate(parts) for parts in zip(*columns, strict=True))
        return self.confidence[group], is_correct, np.tile(np.arange(n_questions), n_permutations)


def spread_population() -> Population:
    """101 confidences, most of them high, a little too sure; coverage at the target is not close to a jump."""
    confidence = np.arange(100, -1, -1) / 100
    share = (confidence + 0.01) ** 2
    return Population(confidence, share / share.sum(), np.clip(1.02 * confidence**1.1, 0.02, 0.98))


def interval_coverage(n_questions: int, repetitions: int, rng: np.random.Generator) -> dict[str, float]:
    """Share of repetitions in which the 95% interval of each metric contains the true value."""
    population = spread_population()
    truth = population.truth()
    hits = dict.fromkeys(truth, 0)
    for _ in range(repetitions):
        confidence, is_correct, question = population.draw(n_questions, 2, rng)
        weights = metrics.question_resamples(n_questions, rng)
        resampled = metrics.resampled_metrics(confidence, is_correct, question, weights, TARGET_ERROR)
        intervals = metrics.percentile_intervals(resampled, n_questions)
        for name, value in truth.items():
            hits[name] += intervals[name]["low"] <= value <= intervals[name]["high"]
    return {name: count / repetitions for name, count in hits.items()}


def calibrated_ece_coverage(n_questions: int, repetitions: int, rng: np.random.Generator) -> float:
    """Share of calibrated record sets whose ECE lies in the range that `ece_if_calibrated` gives."""
    hits = 0
    for _ in range(repetitions):
        confidence = np.round(rng.beta(3, 1.5, n_questions), 2)
        ece = metrics.expected_calibration_error(confidence, rng.random(n_questions) < confidence)
        expected = metrics.ece_if_calibrated(confidence, rng)
        hits += expected["low"] <= ece <= expected["high"]
    return hits / repetitions


def guarantee_failures(n_questions: int, repetitions: int, rng: np.random.Generator) -> dict[str, float]:
    """Share of repetitions in which a threshold is given above which the true error rate exceeds the target.

    "at the edge": at every threshold the error rate is a hair above the target, so every threshold is a failure.
    """
    target = 0.1
    edge = spread_population()
    spread = spread_population()
    edge = Population(edge.confidence, edge.share, np.full(101, 1 - target - 1e-9))
    failures = {}
    for name, population in (("spread", spread), ("at the edge", edge)):
        wrong = np.cumsum(population.share * (1 - population.accuracy)) / np.cumsum(population.share)
        true_error = dict(zip(population.confidence, wrong, strict=True))
        count = 0
        for _ in range(repetitions):
            confidence, is_correct, _ = population.draw(n_questions, 1, rng)
            threshold = guaranteed_threshold(confidence, is_correct, target)["threshold"]
            count += threshold is not None and true_error[threshold] > target
        failures[name] = count / repetitions
    return failures


# --- arms --------------------------------------------------------------------------------------------------------


def make_arm(ratio: float, confidence: np.ndarray, is_correct: np.ndarray, weights: np.ndarray) -> Arm:
    """A cell of one permutation as the comparisons see it."""
    n, question = len(confidence), np.arange(len(confidence))
    zeros, nothing = np.zeros(n, dtype=np.int8), np.zeros(n, dtype=bool)
    columns = CellColumns(
        total_budget=200,
        answer_thinking_ratio=ratio,
        answer_budget=100,
        confidence_budget=100,
        question=question,
        permutation=zeros,
        unit=question,
        category=zeros,
        is_error=nothing,
        is_answered=~nothing,
        is_correct=is_correct,
        chosen_option=zeros,
        correct_option=zeros,
        chosen_original=zeros,
        numbers={"confidence": confidence},
        counts={},
        stopped={},
    )
    resampled = metrics.resampled_metrics(confidence, is_correct, question, weights, TARGET_ERROR)
    values = metrics.observed_metrics(confidence, is_correct, TARGET_ERROR)
    return Arm(columns, values, {name: resampled[name] for name in METRIC_NAMES})


def paired_arms(n_questions: int, gains: list[float], shared: float, rng: np.random.Generator) -> list[Arm]:
    """Arms over the same questions, each right with the question's own probability plus its gain.

    shared: probability that an arm's answer to a question, and so its confidence, hangs on the same draw as that of
    the other arms.
    """
    easiness, common, noise = rng.beta(2, 1.2, n_questions), rng.random(n_questions), rng.standard_normal(n_questions)
    weights = metrics.question_resamples(n_questions, rng)
    arms = []
    for number, gain in enumerate(gains):
        is_shared = rng.random(n_questions) < shared
        draw = np.where(is_shared, common, rng.random(n_questions))
        error = 0.2 * np.where(is_shared, noise, rng.standard_normal(n_questions))
        confidence = np.round(np.clip(easiness + error, 0, 1), 2)
        arms.append(make_arm(number / 4, confidence, draw < easiness + gain, weights))
    return arms


def false_verdicts(n_questions: int, repetitions: int, rng: np.random.Generator) -> float:
    """Share of repetitions in which one of five equal arms is called worse than another."""
    count = 0
    for _ in range(repetitions):
        arms = paired_arms(n_questions, [0.0] * 5, 0.6, rng)
        count += len(compare(arms, n_questions, n_questions)["by_budget"][0]["unbeaten_ratios"]) < 5
    return count / repetitions


def planted_difference(n_questions: int, repetitions: int, rng: np.random.Generator) -> dict[str, float]:
    """Shares of repetitions in which one arm of three, better by 0.05, is found by paired and by unpaired intervals.

    Unpaired: the two arms' own 95% intervals do not overlap.
    """
    paired = unpaired = 0
    for _ in range(repetitions):
        arms = paired_arms(n_questions, [0.0, 0.0, 0.05], 0.97, rng)
        paired += compare(arms, n_questions, n_questions)["by_budget"][0]["unbeaten_ratios"] == [0.5]
        own = [metrics.percentile_intervals(arm.resampled, n_questions)["aurc"] for arm in arms]
        unpaired += own[2]["high"] < min(own[0]["low"], own[1]["low"])
    return {"paired": paired / repetitions, "unpaired": unpaired / repetitions}


def main() -> None:
    """Runs every simulation and prints its shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for n_questions in QUESTION_COUNTS:
        print(f"{n_questions:,} questions, {args.repetitions:,} repetitions")
        for title, simulate in (
            ("95% intervals contain the truth in", interval_coverage),
            ("ECE of calibrated records inside ece_if_calibrated in", calibrated_ece_coverage),
            ("guaranteed threshold exceeds its target error in", guarantee_failures),
            ("one of five equal arms called worse in", false_verdicts),
            ("planted difference found in", planted_difference),
        ):
            result = simulate(n_questions, args.repetitions, np.random.default_rng(args.seed))
            shares = result if isinstance(result, dict) else {"": result}
            print(f"  {title}", *(f"{name} {share:.3f}" for name, share in shares.items()), flush=True)


if __name__ == "__main__":
    main()
