import json
from decimal import Decimal
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss, precision_recall_curve, roc_auc_score

from scoring import metrics

EMPTY = np.array([]), np.array([], dtype=bool)
NAN = float("nan")


def observed(name, confidence, is_correct, target_error=0.05):
    return metrics.observed_metrics(np.asarray(confidence), np.asarray(is_correct), target_error)[name]


def random_records(seed, n=300, decimals=2, missing=0.0):
    """Confidence with ties (decimals=None: without) and correctness that depends on it loosely."""
    rng = np.random.default_rng(seed)
    confidence = rng.beta(2, 1, size=n)
    is_correct = rng.random(n) < 0.2 + 0.6 * confidence
    confidence = confidence if decimals is None else np.round(confidence, decimals)
    confidence[rng.random(n) < missing] = NAN
    return confidence, is_correct


DEGENERATE = {
    "all correct": (np.array([0.2, 0.9, 0.9]), np.array([True, True, True])),
    "all wrong": (np.array([0.2, 0.9, 0.9]), np.array([False, False, False])),
    "one correct": (np.array([0.7]), np.array([True])),
    "one wrong": (np.array([1.0]), np.array([False])),
    "all confidences equal": (np.full(5, 0.6), np.array([True, False, True, True, False])),
    "on bin edges": (np.arange(11) / 10, np.arange(11) % 3 > 0),
    "only 0 and 1": (np.array([0.0, 1.0, 0.0, 1.0]), np.array([False, True, True, False])),
}
CASES = {**DEGENERATE, **{f"random {seed}": random_records(seed) for seed in range(5)}}
each_case = pytest.mark.parametrize(("confidence", "is_correct"), CASES.values(), ids=CASES)


# --- calibration -------------------------------------------------------------------------------------------------


def naive_bins(confidence, bins):
    """Bin of each confidence by decimal arithmetic on its shortest decimal form."""
    return [min(int(Decimal(str(float(value))) * bins), bins - 1) for value in confidence]


def naive_ece(confidence, is_correct, bins):
    """ECE as its definition reads, in exact fractions."""
    members = {}
    for number, value, correct in zip(naive_bins(confidence, bins), confidence, is_correct, strict=True):
        members.setdefault(number, []).append((Fraction(float(value)), int(correct)))
    gaps = (abs(sum(value - correct for value, correct in group)) for group in members.values())
    return float(sum(gaps) / len(confidence))


@pytest.mark.parametrize("bins", [1, 3, 5, 7, 10, 15, 20, 25, 100])
def test_every_two_decimal_confidence_falls_in_the_bin_of_decimal_arithmetic(bins):
    for percent in range(101):
        rows = metrics.reliability_bins(np.array([percent / 100]), np.array([True]), bins)
        assert [row["count"] for row in rows].index(1) == min(percent * bins // 100, bins - 1), percent


def test_a_confidence_just_below_an_edge_stays_below_it():
    for edge in range(1, 10):
        below = np.nextafter(edge / 10, 0)
        rows = metrics.reliability_bins(np.array([below, edge / 10]), np.array([True, False]))
        assert [rows[edge - 1]["count"], rows[edge]["count"]] == [1, 1], edge


def test_reliability_bins_by_hand():
    confidence = np.array([0.1, 0.15, 0.3, 0.99, 1.0])
    rows = metrics.reliability_bins(confidence, np.array([True, False, True, True, False]))
    assert [row["count"] for row in rows] == [0, 2, 0, 1, 0, 0, 0, 0, 0, 2]
    assert rows[0] == {"lower": 0.0, "upper": 0.1, "count": 0, "mean_confidence": None, "accuracy": None}
    assert rows[1] == {"lower": 0.1, "upper": 0.2, "count": 2, "mean_confidence": pytest.approx(0.125), "accuracy": 0.5}
    assert (rows[9]["lower"], rows[9]["upper"], rows[9]["mean_confidence"]) == (0.9, 1.0, pytest.approx(0.995))


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_reliability_bins_agree_with_scikit_learn_away_from_edges(bins):
    confidence, is_correct = random_records(3, n=500, decimals=None)
    accuracy, mean_confidence = calibration_curve(is_correct, confidence, n_bins=bins)
    filled = [row for row in metrics.reliability_bins(confidence, is_correct, bins) if row["count"]]
    np.testing.assert_allclose([row["accuracy"] for row in filled], accuracy, atol=1e-12)
    np.testing.assert_allclose([row["mean_confidence"] for row in filled], mean_confidence, atol=1e-12)


@each_case
@pytest.mark.parametrize("bins", [1, 10, 15])
def test_ece_agrees_with_its_definition_in_exact_arithmetic(confidence, is_correct, bins):
    ece = metrics.expected_calibration_error(confidence, is_correct, bins)
    assert ece == pytest.approx(naive_ece(confidence, is_correct, bins), abs=1e-12)


def test_ece_by_hand():
    # Two in the bin of 0.8 with one right, one in the bin of 0.3 that is right: (2 x 0.3 + 1 x 0.7) / 3.
    ece = metrics.expected_calibration_error(np.array([0.8, 0.8, 0.3]), np.array([True, False, True]))
    assert ece == pytest.approx(1.3 / 3)


def test_ece_if_calibrated_agrees_with_the_enumeration_of_all_outcomes():
    confidence = np.array([0.2, 0.25, 0.6, 0.95])
    expected = 0.0
    for outcome in np.ndindex(2, 2, 2, 2):
        outcome = np.array(outcome, dtype=bool)
        probability = np.prod(np.where(outcome, confidence, 1 - confidence))
        expected += probability * naive_ece(confidence, outcome, 10)
    result = metrics.ece_if_calibrated(confidence, np.random.default_rng(0), draws=100_000)
    assert result["mean"] == pytest.approx(expected, abs=0.002)


def test_ece_if_calibrated_has_the_range_of_separate_redraws():
    confidence, _ = random_records(1, n=200)
    rng = np.random.default_rng(5)
    eces = [naive_ece(confidence, rng.random(200) < confidence, 10) for _ in range(400)]
    result = metrics.ece_if_calibrated(confidence, np.random.default_rng(6))
    assert result["mean"] == pytest.approx(np.mean(eces), abs=0.005)
    assert [result["low"], result["high"]] == pytest.approx(np.percentile(eces, [2.5, 97.5]), abs=0.015)


def test_ece_if_calibrated_does_not_depend_on_the_block_size(monkeypatch):
    confidence, _ = random_records(2)
    whole = metrics.ece_if_calibrated(confidence, np.random.default_rng(0), draws=50)
    monkeypatch.setattr(metrics, "BLOCK_CELLS", 2100)
    assert metrics.ece_if_calibrated(confidence, np.random.default_rng(0), draws=50) == pytest.approx(whole)


def test_certain_confidences_leave_nothing_to_redraw():
    result = metrics.ece_if_calibrated(np.array([0.0, 1.0, 1.0]), np.random.default_rng(0))
    assert result == {"mean": 0.0, "low": 0.0, "high": 0.0}


@each_case
def test_brier_agrees_with_scikit_learn_and_its_parts_add_up(confidence, is_correct):
    parts = metrics.brier_parts(confidence, is_correct)
    brier = observed("brier", confidence, is_correct)
    assert brier == pytest.approx(brier_score_loss(is_correct, confidence, labels=[False, True]), abs=1e-12)
    assert brier == pytest.approx(parts["reliability"] - parts["resolution"] + parts["uncertainty"], abs=1e-12)


def test_brier_parts_by_hand():
    # 0.5 twice, one right; 1.0 twice, both right: base rate 3/4.
    records = np.array([0.5, 1.0, 0.5, 1.0]), np.array([True, True, False, True])
    assert observed("brier", *records) == pytest.approx(0.125)
    assert metrics.brier_parts(*records) == pytest.approx(
        {"reliability": 0.0, "resolution": 1 / 16, "uncertainty": 3 / 16}
    )


@each_case
def test_accuracy_and_overconfidence_agree_with_exact_fractions(confidence, is_correct):
    accuracy = Fraction(int(sum(is_correct)), len(is_correct))
    mean_confidence = sum(Fraction(float(value)) for value in confidence) / len(confidence)
    assert observed("accuracy", confidence, is_correct) == pytest.approx(float(accuracy), abs=1e-15)
    overconfidence = float(mean_confidence - accuracy)
    assert observed("overconfidence", confidence, is_correct) == pytest.approx(overconfidence, abs=1e-12)


# --- ranking -----------------------------------------------------------------------------------------------------


@each_case
def test_auroc_agrees_with_mann_whitney(confidence, is_correct):
    value = observed("auroc", confidence, is_correct)
    if len(set(is_correct)) == 1:
        assert value is None
        return
    correct, wrong = confidence[is_correct], confidence[~is_correct]
    u_statistic = stats.mannwhitneyu(correct, wrong).statistic
    assert value == pytest.approx(u_statistic / (len(correct) * len(wrong)), abs=1e-12)


def test_auroc_counts_ties_half():
    # Pairs (0.5, 0.5) tied, (0.9, 0.5) right: 1.5 of 2.
    assert observed("auroc", np.array([0.5, 0.5, 0.9]), np.array([False, True, True])) == pytest.approx(0.75)


def risk_mean(errors):
    """Mean over ranks of the error rate so far."""
    return np.mean(np.cumsum(errors) / np.arange(1, len(errors) + 1))


@pytest.mark.parametrize(
    ("confidence", "is_correct"),
    [
        ([0.9, 0.5, 0.5, 0.5, 0.1, 0.1], [1, 0, 1, 1, 0, 1]),
        ([0.3, 0.3, 0.3, 0.3], [0, 0, 0, 1]),
        ([0.2, 0.8, 0.8, 0.4, 0.4, 0.4], [1, 0, 1, 0, 0, 1]),
        ([0.5, NAN, 0.5, 0.7, NAN, NAN], [0, 1, 1, 1, 0, 0]),
        ([NAN, NAN, NAN], [0, 1, 0]),
    ],
)
def test_aurc_is_the_mean_over_all_orders_of_tied_records(confidence, is_correct):
    rank_by = [-1.0 if np.isnan(value) else value for value in confidence]
    risks = []
    for order in permutations(range(len(rank_by))):
        ranked = [rank_by[i] for i in order]
        if ranked == sorted(ranked, reverse=True):
            risks.append(risk_mean([1 - is_correct[i] for i in order]))
    value = observed("aurc", np.array(confidence), np.array(is_correct, dtype=bool))
    assert value == pytest.approx(np.mean(risks), abs=1e-12)


def test_aurc_is_near_the_mean_over_random_orders_of_ties_on_random_data():
    confidence, is_correct = random_records(4, n=200, decimals=1, missing=0.2)
    rank_by = np.nan_to_num(confidence, nan=-1.0)
    rng = np.random.default_rng(0)
    risks = [risk_mean(~is_correct[np.lexsort((rng.random(200), -rank_by))]) for _ in range(2000)]
    standard_error = np.std(risks) / np.sqrt(len(risks))
    assert observed("aurc", confidence, is_correct) == pytest.approx(np.mean(risks), abs=5 * standard_error)


def test_aurc_without_ties_agrees_with_the_precisions_of_scikit_learn():
    confidence, is_correct = random_records(6, decimals=None)
    precision, _, _ = precision_recall_curve(is_correct, confidence)
    assert observed("aurc", confidence, is_correct) == pytest.approx(np.mean(1 - precision[:-1]), abs=1e-12)


def test_aurc_by_hand():
    confidence = np.array([0.9, 0.8, 0.1])
    assert observed("aurc", confidence, np.array([True, True, False])) == pytest.approx((0 + 0 + 1 / 3) / 3)
    assert observed("aurc", confidence, np.array([False, True, True])) == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)


@each_case
def test_augrc_follows_from_auroc_and_accuracy(confidence, is_correct):
    """The closed form of Traub et al. (2024); without two classes there is no AUROC, and its term is 0."""
    accuracy = np.mean(is_correct)
    auroc = roc_auc_score(is_correct, confidence) if 0 < accuracy < 1 else 1.0
    expected = (1 - auroc) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2
    assert observed("augrc", confidence, is_correct) == pytest.approx(expected, abs=1e-12)


def test_augrc_by_hand():
    confidence = np.array([0.9, 0.9, 0.4, NAN])
    # Curve from (0, 0) through (1/2, 1/4), (3/4, 1/4) to (1, 1/2): the last has no confidence and ranks last.
    value = observed("augrc", confidence, np.array([True, False, True, False]))
    assert value == pytest.approx(1 / 16 + 1 / 16 + 3 / 32)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_risk_coverage_curve_agrees_with_the_precisions_of_scikit_learn(missing):
    confidence, is_correct = random_records(7, missing=missing)
    with_confidence = ~np.isnan(confidence)
    precision, _, thresholds = precision_recall_curve(is_correct[with_confidence], confidence[with_confidence])
    curve = metrics.risk_coverage_curve(confidence, is_correct)
    np.testing.assert_array_equal(curve["threshold"], thresholds[::-1])
    np.testing.assert_allclose(curve["selective_risk"], 1 - precision[-2::-1], atol=1e-12)
    assert curve["coverage"] == [np.mean(confidence >= threshold) for threshold in thresholds[::-1]]
    assert (curve["coverage"][-1] == 1) == (missing == 0)


def naive_coverage(confidence, is_correct, target_error):
    """Largest share of records above a threshold that meets the target, by trial of every threshold."""
    best = 0
    for threshold in confidence:
        used = [bool(correct) for value, correct in zip(confidence, is_correct, strict=True) if value >= threshold]
        if used and Fraction(used.count(False), len(used)) <= Fraction(str(target_error)):
            best = max(best, len(used))
    return best / len(confidence)


@each_case
@pytest.mark.parametrize("target_error", [0.0, 0.05, 0.2, 0.3, 1.0])
def test_coverage_agrees_with_trial_of_every_threshold(confidence, is_correct, target_error):
    value = observed("coverage_at_target", confidence, is_correct, target_error)
    assert value == naive_coverage(confidence, is_correct, target_error)


@pytest.mark.parametrize("target_percent", range(1, 100))
def test_an_error_rate_equal_to_the_target_meets_it(target_percent):
    is_correct = np.arange(100) >= target_percent
    assert observed("coverage_at_target", np.full(100, 0.5), is_correct, target_percent / 100) == 1.0
    assert observed("coverage_at_target", np.full(100, 0.5), is_correct, (target_percent - 1) / 100) == 0.0


def test_coverage_takes_whole_tie_groups_only():
    # Taking one of the two at 0.9 could have no error, but no threshold can.
    confidence = np.array([0.9, 0.9, 0.5, 0.4])
    assert observed("coverage_at_target", confidence, np.array([True, False, True, True]), 0.2) == 0.0
    assert observed("coverage_at_target", confidence, np.array([True, False, True, True]), 0.25) == 1.0


def test_coverage_may_lie_beyond_a_stretch_of_higher_risk():
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    assert observed("coverage_at_target", confidence, np.array([False, True, True, True, True]), 0.25) == 1.0


def test_missing_confidences_count_but_are_never_used():
    confidence = np.array([0.9, NAN, NAN, 0.4])
    is_correct = np.array([True, True, True, False])
    assert observed("coverage_at_target", confidence, is_correct, 0.05) == 0.25
    assert observed("coverage_at_target", confidence, is_correct, 0.5) == 0.5
    assert observed("coverage_at_target", np.array([NAN, NAN]), np.array([True, True]), 0.5) == 0.0
    assert metrics.risk_coverage_curve(np.array([NAN]), np.array([True]))["threshold"] == []


# --- what has no value, and what is refused ----------------------------------------------------------------------


def test_nothing_has_a_value_without_records():
    assert metrics.expected_calibration_error(*EMPTY) is None
    assert metrics.observed_metrics(*EMPTY, 0.05) == dict.fromkeys(metrics.METRICS)
    assert set(metrics.brier_parts(*EMPTY).values()) == {None}
    assert metrics.ece_if_calibrated(EMPTY[0], np.random.default_rng(0)) == {"mean": None, "low": None, "high": None}
    assert [row["count"] for row in metrics.reliability_bins(*EMPTY)] == [0] * 10
    assert metrics.risk_coverage_curve(*EMPTY) == {"threshold": [], "coverage": [], "selective_risk": []}


@each_case
def test_everything_returned_is_strict_json(confidence, is_correct):
    rng = np.random.default_rng(0)
    results = [
        metrics.observed_metrics(confidence, is_correct, 0.05),
        metrics.reliability_bins(confidence, is_correct),
        metrics.expected_calibration_error(confidence, is_correct),
        metrics.ece_if_calibrated(confidence, rng, draws=20),
        metrics.brier_parts(confidence, is_correct),
        metrics.risk_coverage_curve(confidence, is_correct),
    ]
    assert json.loads(json.dumps(results, allow_nan=False)) == results


@pytest.mark.parametrize(
    ("confidence", "is_correct", "message"),
    [
        ([0.5, NAN], [True, False], "missing .* 1 of 2"),
        ([0.5, 1.01], [True, False], r"in \[0, 1\]"),
        ([-0.01, 0.5], [True, False], r"in \[0, 1\]"),
        ([0.5, 0.5], [True, None], "boolean"),
        ([0.5, 0.5], [1, 0], "boolean"),
        ([0.5], [True, False], "one shape"),
        ([[0.5]], [[True]], "one-dimensional"),
    ],
)
def test_arrays_that_would_give_a_wrong_number_are_refused(confidence, is_correct, message):
    confidence, is_correct = np.array(confidence), np.array(is_correct)
    for metric in (metrics.reliability_bins, metrics.brier_parts):
        with pytest.raises(ValueError, match=message):
            metric(confidence, is_correct)
    if "missing" not in message:
        with pytest.raises(ValueError, match=message):
            metrics.observed_metrics(confidence, is_correct, 0.05)


# --- bootstrap ---------------------------------------------------------------------------------------------------


def naive_aurc(confidence, is_correct):
    """Record by record, the errors of a tie group spread evenly over it; missing confidences rank last."""
    rank_by = np.nan_to_num(confidence, nan=-1.0)
    errors = [np.mean(~is_correct[rank_by == value]) for value in sorted(rank_by, reverse=True)]
    return risk_mean(errors)


def naive_log_score(confidence, is_correct):
    """scikit-learn's, of confidences that keep half a step of 0.01 from 0 and 1."""
    return log_loss(is_correct, np.clip(confidence, 0.005, 0.995), labels=[False, True])


def naive_augrc(confidence, is_correct):
    """Trapezoids under the points (coverage, share of all that is used and wrong), one per threshold, from (0, 0)."""
    rank_by = np.nan_to_num(confidence, nan=-1.0)
    used = [rank_by >= threshold for threshold in np.unique(rank_by)[::-1]]
    coverage = [0.0, *(np.mean(above) for above in used)]
    return np.trapezoid([0.0, *(np.mean(above & ~is_correct) for above in used)], coverage)


def naive_metrics(confidence, is_correct, target_error):
    """Every metric with an interval, by NumPy's means, scikit-learn and trial; NaN where it has no value."""
    if not len(confidence):
        return dict.fromkeys(metrics.METRICS, NAN)
    has = ~np.isnan(confidence)
    given, outcome = confidence[has], is_correct[has]
    used = [confidence >= threshold for threshold in np.unique(given)]
    return {
        "accuracy": np.mean(is_correct),
        "brier": np.mean((given - outcome) ** 2) if has.any() else NAN,
        "auroc": roc_auc_score(outcome, given) if len(set(outcome)) == 2 else NAN,
        "log_score": naive_log_score(given, outcome) if has.any() else NAN,
        "aurc": naive_aurc(confidence, is_correct),
        "e_aurc": naive_aurc(confidence, is_correct) - naive_aurc(is_correct.astype(float), is_correct),
        "augrc": naive_augrc(confidence, is_correct),
        "overconfidence": np.mean(given) - np.mean(outcome) if has.any() else NAN,
        "coverage_at_target": max(
            (np.mean(above) for above in used if np.mean(~is_correct[above]) <= target_error), default=0.0
        ),
    }


def replicated_metrics(confidence, is_correct, copies, target_error):
    """The metrics of arrays in which record i stands copies[i] times."""
    return naive_metrics(np.repeat(confidence, copies), np.repeat(is_correct, copies), target_error)


@each_case
@pytest.mark.parametrize("target_error", [0.05, 0.3])
def test_every_observed_metric_agrees_with_its_naive_definition(confidence, is_correct, target_error):
    values = metrics.observed_metrics(confidence, is_correct, target_error)
    values = {name: NAN if value is None else value for name, value in values.items()}
    assert values == pytest.approx(naive_metrics(confidence, is_correct, target_error), abs=1e-12, nan_ok=True)


def assert_equal_to_replication(confidence, is_correct, question_index, weights, target_error):
    resampled = metrics.resampled_metrics(confidence, is_correct, question_index, weights, target_error)
    for number, row in enumerate(weights):
        expected = replicated_metrics(confidence, is_correct, row[question_index], target_error)
        assert {name: values[number] for name, values in resampled.items()} == pytest.approx(
            expected, abs=1e-12, nan_ok=True
        )


@pytest.mark.parametrize("decimals", [None, 2, 1])
@pytest.mark.parametrize("missing", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("target_error", [0.05, 0.3])
def test_a_resample_equals_the_point_estimates_on_replicated_records(decimals, missing, target_error):
    confidence, is_correct = random_records(8, n=120, decimals=decimals, missing=missing)
    rng = np.random.default_rng(9)
    question_index = rng.integers(40, size=120)  # questions of unequal size, some without records
    weights = metrics.question_resamples(40, rng, resamples=30)
    assert_equal_to_replication(confidence, is_correct, question_index, weights, target_error)


@pytest.mark.parametrize(("confidence", "is_correct"), DEGENERATE.values(), ids=DEGENERATE)
def test_a_resample_of_degenerate_records_equals_replication(confidence, is_correct):
    n = len(confidence)
    weights = np.vstack([metrics.question_resamples(n, np.random.default_rng(0), 20), np.ones((1, n), int)])
    assert_equal_to_replication(confidence, is_correct, np.arange(n), weights, 0.2)


def test_a_resample_without_records_has_no_value():
    weights = np.array([[0, 2], [2, 0]])
    resampled = metrics.resampled_metrics(np.array([0.5, 0.7]), np.array([True, False]), np.zeros(2, int), weights, 0.5)
    assert all(np.isnan(values[0]) for values in resampled.values())
    assert not any(np.isnan(values[1]) for values in resampled.values())


def test_resampled_metrics_do_not_depend_on_the_block_size(monkeypatch):
    confidence, is_correct = random_records(10, missing=0.1)
    weights = metrics.question_resamples(300, np.random.default_rng(0), 25)
    whole = metrics.resampled_metrics(confidence, is_correct, np.arange(300), weights, 0.2)
    monkeypatch.setattr(metrics, "BLOCK_CELLS", 1000)
    blocked = metrics.resampled_metrics(confidence, is_correct, np.arange(300), weights, 0.2)
    for name, values in whole.items():
        np.testing.assert_allclose(blocked[name], values, atol=1e-12)


def test_a_single_sample_takes_all_its_records_at_once(monkeypatch):
    confidence, is_correct = random_records(10)
    looked_at, most_covered = [], metrics._most_covered

    def counted(ranked, wrong, target_error):
        looked_at.append(ranked.size)
        return most_covered(ranked, wrong, target_error)

    monkeypatch.setattr(metrics, "_most_covered", counted)
    metrics.observed_metrics(confidence, is_correct, 0.2)
    n_wrong = len(np.unique(confidence[~is_correct]))
    assert looked_at == [n_wrong, 1]  # the tie groups with a wrong answer, then behind the last one


def test_question_resamples_are_multinomial_counts():
    counts = metrics.question_resamples(50, np.random.default_rng(0), resamples=4000)
    assert counts.shape == (4000, 50) and np.all(counts.sum(axis=1) == 50)
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.1)
    np.testing.assert_allclose(counts.var(axis=0), 1 - 1 / 50, atol=0.15)
    np.testing.assert_array_equal(counts, metrics.question_resamples(50, np.random.default_rng(0), resamples=4000))


@pytest.mark.parametrize("seed", range(3))
def test_resampled_auroc_and_brier_agree_with_scikit_learn_sample_weights(seed):
    confidence, is_correct = random_records(20 + seed)
    weights = metrics.question_resamples(300, np.random.default_rng(seed), 5)
    resampled = metrics.resampled_metrics(confidence, is_correct, np.arange(300), weights, 0.05)
    for number, row in enumerate(weights):
        expected = roc_auc_score(is_correct, confidence, sample_weight=row)
        assert resampled["auroc"][number] == pytest.approx(expected, abs=1e-12)
        expected = brier_score_loss(is_correct, confidence, sample_weight=row)
        assert resampled["brier"][number] == pytest.approx(expected, abs=1e-12)


# --- intervals that hold together --------------------------------------------------------------------------------


def normal_arms(n_arms, n_resamples, rng):
    """Observed differences (all 0) and resampled ones between all pairs of arms whose values vary independently."""
    arms = rng.standard_normal((n_arms, n_resamples))
    first, second = np.triu_indices(n_arms, 1)
    return np.zeros(len(first)), arms[first] - arms[second]


def test_simultaneous_intervals_of_independent_arms_are_those_of_the_studentised_range():
    observed, resampled = normal_arms(5, 40_000, np.random.default_rng(0))
    intervals = metrics.simultaneous_intervals(observed, resampled, n_questions=10_000)
    expected = stats.studentized_range.ppf(0.95, 5, np.inf)  # Tukey's: the largest difference of five, in units of sd
    assert [interval["high"] for interval in intervals] == pytest.approx([expected] * 10, rel=0.02)


def test_a_single_difference_has_the_ordinary_interval_of_students_t():
    observed, resampled = normal_arms(2, 40_000, np.random.default_rng(0))
    (interval,) = metrics.simultaneous_intervals(observed, resampled, n_questions=30)
    expected = stats.t.ppf(0.975, 29) * np.sqrt(2 * 30 / 29)
    assert [interval["low"], interval["high"]] == pytest.approx([-expected, expected], rel=0.02)


def test_a_difference_without_variation_has_an_interval_of_width_zero_and_widens_no_other():
    observed, resampled = normal_arms(3, 5000, np.random.default_rng(0))
    with_identical = metrics.simultaneous_intervals(
        np.append(observed, 0.25), np.vstack([resampled, np.full(5000, 0.25)]), 100
    )
    assert with_identical[3] == {"low": 0.25, "high": 0.25}
    assert with_identical[:3] == metrics.simultaneous_intervals(observed, resampled, 100)


def test_resamples_that_never_show_what_was_observed_give_no_interval_rather_than_an_endless_one():
    resampled = np.full((1, 1000), 0.5) + 1e-9 * np.random.default_rng(0).standard_normal((1, 1000))
    assert metrics.simultaneous_intervals(np.array([0.0]), resampled, 50) == [None]


def test_a_difference_without_value_has_no_interval_and_takes_none_from_the_others():
    observed, resampled = normal_arms(3, 5000, np.random.default_rng(0))
    resampled[1, :400] = np.nan
    intervals = metrics.simultaneous_intervals(observed, resampled, 100)
    assert intervals[1] is None
    assert intervals[0] is not None
    assert metrics.simultaneous_intervals(np.array([NAN, 0, 0]), resampled, 100)[0] is None
    assert metrics.simultaneous_intervals(observed, resampled, 1) == [None] * 3


def test_the_critical_value_is_taken_above_its_rank_by_the_noise_of_that_rank():
    """Of 99 resamples, 2, 4, ... 198 errors away: the rank is 0.95 * 100 + sqrt(0.95 * 0.05 * 99) = 97.2, so 98."""
    resampled = np.arange(2.0, 199.0, 2.0)[None] * np.where(np.arange(99) % 2, 1, -1)
    error = resampled.std(ddof=1) * np.sqrt(10_000 / 9_999)
    (interval,) = metrics.simultaneous_intervals(np.zeros(1), resampled, 10_000)
    expected = stats.t.isf(stats.norm.sf(196 / error), 9_999) * error
    assert interval["high"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n_questions", [2, 3, 20, 200, 5000])
def test_the_critical_value_is_the_quantile_of_scipys_distributions(n_questions):
    resampled = np.random.default_rng(n_questions).standard_normal((1, 1000))
    error = resampled.std(ddof=1) * np.sqrt(n_questions / (n_questions - 1))
    critical = np.sort(np.abs(resampled[0]))[957] / error  # rank 958 of 1,000, see the test of ranks above
    (interval,) = metrics.simultaneous_intervals(np.zeros(1), resampled, n_questions)
    expected = stats.t.isf(stats.norm.sf(critical), n_questions - 1) * error
    assert interval["high"] == pytest.approx(expected, rel=1e-12)
