"""How often the statements about criteria, best sets and equivalence fail, on arms whose true values are known.

    python -m checks.simulate_criteria                      # about 20 minutes on one core
    python -m checks.simulate_criteria --repetitions 100    # about 2 minutes

Prints shares of repetitions, for 200 and 1,000 questions. The standard error of a share near 0.05 is 0.015 with 200
repetitions and 0.007 with 1,000.
"""
import argparse
from itertools import combinations

import numpy as np

from checks.populations import FOR_INTERVALS
from scoring import metrics
from scoring.best_set import best_set, questions_needed
from scoring.cell_intervals import metric_intervals
from scoring.utility import pseudo_variances, resampled_utilities, share_given, utility_name

QUESTION_COUNTS = (200, 1000)
COSTS = (1, 9, 19)
LOWER_IS_BETTER = ("aurc", "augrc")
NAMES = (*LOWER_IS_BETTER, *map(utility_name, COSTS))
GAINS = {"equal": [0.0] * 5, "one better": [0.0, 0.0, 0.05, 0.0, 0.0], "two better": [0.0, 0.06, 0.06, 0.0, 0.0]}
MANY = 400_000  # questions whose values stand for the truth
COARSE = (2, 3, 5, 10, 101)  # numbers of distinct confidences


def draw_arms(n_questions: int, gains: list[float], rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per arm confidence and correctness on the same questions; an arm's answers are right more often by its gain.

    Nine answers in ten hang on the same draw in every arm. The confidence is a noisy view of how easy the question is.
    """
    easiness, common, noise = rng.beta(2, 0.7, n_questions), rng.random(n_questions), rng.standard_normal(n_questions)
    arms = []
    for gain in gains:
        is_shared = rng.random(n_questions) < 0.9
        draw = np.where(is_shared, common, rng.random(n_questions))
        error = 0.1 * np.where(is_shared, noise, rng.standard_normal(n_questions))
        arms.append((np.round(np.clip(easiness + error, 0, 1), 2), draw < easiness + gain))
    return arms


def resampled_values(arms: list, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Criterion -> (arms, resamples), higher is better."""
    found = {name: [] for name in NAMES}
    question = np.arange(weights.shape[1])
    for confidence, is_correct in arms:
        areas = metrics.resampled_metrics(confidence, is_correct, question, weights, 0.5)
        utilities = resampled_utilities(confidence, is_correct, question, weights, COSTS)
        for name in LOWER_IS_BETTER:
            found[name].append(-areas[name])
        for cost, values in zip(COSTS, utilities, strict=True):
            found[utility_name(cost)].append(values)
    return {name: np.stack(values) for name, values in found.items()}


def observed_and_resampled(arms: list, rng: np.random.Generator) -> tuple[dict, dict]:
    """The values of the arms, and those on common resamples, by criterion."""
    n_questions = len(arms[0][0])
    observed = resampled_values(arms, np.ones((1, n_questions), dtype=np.uint8))
    resampled = resampled_values(arms, metrics.question_resamples(n_questions, rng))
    return {name: values[:, 0] for name, values in observed.items()}, resampled


def pairs_of(values: np.ndarray) -> np.ndarray:
    """First minus second, for every pair of rows."""
    first, second = np.array(list(combinations(range(len(values)), 2))).T
    return values[first] - values[second]


def intervals_of(
    observed: np.ndarray, resampled: np.ndarray, n_questions: int, added_variances: np.ndarray | float = 0.0
) -> np.ndarray:
    """(pairs, 2) simultaneous intervals."""
    rows = metrics.simultaneous_intervals(pairs_of(observed), pairs_of(resampled), n_questions, added_variances)
    return np.array([(row["low"], row["high"]) for row in rows])


def added_variances(arms: list, name: str) -> np.ndarray | float:
    """(pairs,), as the comparisons add them to the utilities."""
    costs = {utility_name(cost): cost for cost in COSTS}
    if name not in costs:
        return 0.0
    shares = np.array([share_given(confidence, costs[name]) for confidence, _ in arms])
    first, second = np.array(list(combinations(range(len(arms)), 2))).T
    return pseudo_variances(shares, costs[name], len(arms[0][0]))[first, second]


def unbeaten(intervals: np.ndarray, n_arms: int) -> set[int]:
    """Arms that no pair shows to be worse."""
    pairs = list(combinations(range(n_arms), 2))
    beaten = {second for (_, second), (low, _) in zip(pairs, intervals, strict=True) if low > 0}
    beaten |= {first for (first, _), (_, high) in zip(pairs, intervals, strict=True) if high < 0}
    return set(range(n_arms)) - beaten


def criterion_failures(n_questions: int, repetitions: int, rng: np.random.Generator) -> dict[str, float]:
    """Shares in which the 95% intervals of all pairs do not all contain the truth, by population and criterion."""
    failures = {}
    for population, gains in GAINS.items():
        truth = resampled_values(draw_arms(MANY, gains, rng), np.ones((1, MANY), dtype=np.uint8))
        truth = {name: pairs_of(values[:, 0]) for name, values in truth.items()}
        missed = dict.fromkeys(NAMES, 0)
        for _ in range(repetitions):
            arms = draw_arms(n_questions, gains, rng)
            observed, resampled = observed_and_resampled(arms, rng)
            for name in NAMES:
                low, high = intervals_of(observed[name], resampled[name], n_questions, added_variances(arms, name)).T
                equal = 0.0 if population == "equal" else truth[name]
                missed[name] += not np.all((low <= equal) & (equal <= high))
        failures |= {f"{population}, {name}": count / repetitions for name, count in missed.items()}
    return failures


def utility_intervals(n_questions: int, repetitions: int, rng: np.random.Generator) -> dict[str, float]:
    """Shares in which a cell's 95% interval of the utility contains the truth, by population and cost; 2 permutations.

    Of the repetitions that have an interval, where these are at least half.
    """
    shares = {}
    for title, population in FOR_INTERVALS.items():
        hits, defined = dict.fromkeys(COSTS, 0), dict.fromkeys(COSTS, 0)
        for _ in range(repetitions):
            confidence, is_correct, question, _ = population.draw(n_questions, 2, 0.5, rng)
            intervals = metric_intervals(confidence, is_correct, question, 0.5, COSTS)
            for cost in COSTS:
                if interval := intervals[utility_name(cost)]:
                    defined[cost] += 1
                    hits[cost] += interval["low"] - 1e-12 <= population.utility(cost) <= interval["high"] + 1e-12
        shares |= {f"{title}, cost {c}": hits[c] / defined[c] for c in COSTS if defined[c] >= repetitions / 2}
    return shares


def best_sets(n_questions: int, repetitions: int, rng: np.random.Generator) -> dict[str, float]:
    """By AURC: shares in which the best arm is left out of its set, and in which the better arm is found alone.

    Found by the set, and by the intervals of all pairs.
    """
    shares = {}
    for population, best in (("equal", 0), ("one better", 2)):
        left_out = alone = alone_by_pairs = 0
        for _ in range(repetitions):
            observed, resampled = observed_and_resampled(draw_arms(n_questions, GAINS[population], rng), rng)
            observed, resampled = observed["aurc"], resampled["aurc"]
            chosen = set(np.flatnonzero(best_set(observed, resampled, n_questions)))
            left_out += best not in chosen
            alone += chosen == {best}
            alone_by_pairs += unbeaten(intervals_of(observed, resampled, n_questions), len(observed)) == {best}
        shares[f"{population}: best left out"] = left_out / repetitions
        if population == "one better":
            shares |= {"found alone": alone / repetitions, "by all pairs": alone_by_pairs / repetitions}
    return shares


def equivalence(n_questions: int, repetitions: int, rng: np.random.Generator) -> dict[str, float]:
    """Shares in which two of three arms are called equivalent within 0.05 AURC: equal ones, and ones that differ by it.

    The arms that differ: the second and third have the AURC of the first plus 0.05, in truth.
    """
    shares, limit = {}, 0.05
    gain = _gain_for_difference(limit, rng)
    for title, gains in (("equal", [0.0, 0.0, 0.0]), ("different by it", [gain, 0.0, 0.0])):
        called = 0
        for _ in range(repetitions):
            observed, resampled = observed_and_resampled(draw_arms(n_questions, gains, rng), rng)
            low, high = intervals_of(observed["aurc"], resampled["aurc"], n_questions)[0]
            called += -limit < low and high < limit
        shares[title] = called / repetitions
    return shares


def _gain_for_difference(difference: float, rng: np.random.Generator) -> float:
    """The gain whose AURC is lower by that much, by bisection on many questions."""
    low, high, state = 0.0, 0.3, rng.integers(2**32)
    for _ in range(12):
        middle = (low + high) / 2
        arms = draw_arms(MANY, [middle, 0.0], np.random.default_rng(state))
        better, worse = resampled_values(arms, np.ones((1, MANY), dtype=np.uint8))["aurc"][:, 0]
        low, high = (middle, high) if better - worse < difference else (low, middle)
    return (low + high) / 2


def needed_questions(n_questions: int, repetitions: int, rng: np.random.Generator) -> dict[str, float]:
    """Questions that a pilot names, in the median, for the first pair; and how often so many tell that pair apart."""
    gains, named = [0.05, 0.0, 0.0], []
    for _ in range(repetitions):
        observed, resampled = observed_and_resampled(draw_arms(n_questions, gains, rng), rng)
        named.append(questions_needed(pairs_of(observed["aurc"]), pairs_of(resampled["aurc"]), n_questions)[0])
    n_named, found = int(np.median([n for n in named if n])), 0
    for _ in range(repetitions):
        observed, resampled = observed_and_resampled(draw_arms(n_named, gains, rng), rng)
        low, high = intervals_of(observed["aurc"], resampled["aurc"], n_named)[0]
        found += low > 0 or high < 0
    return {"questions named": n_named, "told apart with them": found / repetitions}


def coarse_confidences(n_questions: int, repetitions: int, rng: np.random.Generator) -> dict[str, float]:
    """Shares in which the better arm of five is found alone, by AURC, if the confidence takes only so many values.

    The values are the middles of bins that hold equally many answers.
    """
    found = dict.fromkeys(COARSE, 0)
    for _ in range(repetitions):
        arms = draw_arms(n_questions, GAINS["one better"], rng)
        edges = np.concatenate([confidence for confidence, _ in arms])
        for n_values in COARSE:
            cuts = np.quantile(edges, np.arange(1, n_values) / n_values)
            coarse = [(np.searchsorted(cuts, confidence) / n_values, is_correct) for confidence, is_correct in arms]
            observed, resampled = observed_and_resampled(coarse, rng)
            intervals = intervals_of(observed["aurc"], resampled["aurc"], n_questions)
            found[n_values] += unbeaten(intervals, len(arms)) == {2}
    return {f"{n_values} values": count / repetitions for n_values, count in found.items()}


SIMULATIONS = (
    ("intervals of all pairs do not all contain the truth in", criterion_failures),
    ("a cell's interval of the utility contains the truth in", utility_intervals),
    ("best sets", best_sets),
    ("called equivalent within 0.05 AURC", equivalence),
    ("questions needed", needed_questions),
    ("better arm found by all pairs, with a confidence of", coarse_confidences),
)


def main() -> None:
    """Runs every simulation and prints its shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for n_questions in QUESTION_COUNTS:
        print(f"{n_questions:,} questions, {args.repetitions:,} repetitions")
        for title, simulate in SIMULATIONS:
            shares = simulate(n_questions, args.repetitions, np.random.default_rng(args.seed))
            print(f"  {title}", *(f"{name} {share:.4g}" for name, share in shares.items()), sep="; ", flush=True)


if __name__ == "__main__":
    main()
