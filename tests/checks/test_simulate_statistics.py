"""A short version of checks/simulate_statistics.py; its bands leave room for few repetitions (fixed seeds)."""
from dataclasses import replace

import numpy as np
import pytest

from checks import populations
from checks import simulate_statistics as simulate
from scoring import guaranteed_thresholds, metrics


def rng():
    return np.random.default_rng(3)


def shares_of(simulation, n_questions, repetitions):
    shares = list(simulation(n_questions, repetitions, rng()))
    assert len({share.name for share in shares}) == len(shares)
    return shares


@pytest.mark.parametrize("name", populations.FOR_INTERVALS)
def test_the_truth_of_a_population_is_what_many_records_show(name):
    population = populations.FOR_INTERVALS[name]
    confidence, is_correct, _, _ = population.draw(200_000, 1, 0.0, rng())
    measured = metrics.observed_metrics(confidence, is_correct, 0.2)
    assert measured == pytest.approx(population.truth(0.2), abs=0.02)
    above = confidence >= 0.9
    assert np.mean(~is_correct[above]) == pytest.approx(population.error_above(0.9), abs=0.01)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 1.0])
def test_the_outcomes_of_two_permutations_are_correlated_as_asked(correlation):
    _, is_correct, question, permutation = populations.flat(0.7).draw(40_000, 2, correlation, rng())
    first, second = is_correct.reshape(2, -1)
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(correlation, abs=0.02)
    assert first.mean() == pytest.approx(0.7, abs=0.01)
    assert question.tolist() == [*range(40_000)] * 2 and permutation.sum() == 40_000


def test_edge_populations_are_where_they_say():
    waves = populations.waves_at_the_edge(0.1)
    for start in guaranteed_thresholds.STARTS:
        assert 0.1 < waves.error_above(start) < 0.1 + 1e-8
    assert waves.error_above(0.97) < 0.091
    edge = populations.at_the_edge(0.1)
    assert all(0.1 < edge.error_above(threshold) < 0.1 + 1e-8 for threshold in guaranteed_thresholds.GRID)


@pytest.mark.parametrize("simulation", [simulate.interval_coverage, simulate.calibrated_ece, simulate.thresholds])
def test_no_statement_about_one_cell_fails(simulation):
    shares = shares_of(simulation, 60, 30)
    assert not [str(share) for share in shares if share.has_failed]
    assert any(share.wanted for share in shares)


def test_redrawing_permutations_one_by_one_would_be_found(monkeypatch):
    def one_by_one(confidence, is_correct, permutation, rng):
        ece = metrics.expected_calibration_error(confidence, is_correct)
        return {"ece": ece, "ece_if_calibrated": metrics.ece_if_calibrated(confidence, rng, draws=100)}

    monkeypatch.setattr(simulate.metrics, "ece_beside_calibrated", one_by_one)
    failed = [share.name for share in shares_of(simulate.calibrated_ece, 60, 40) if share.has_failed]
    assert "calibrated, 5 permutations with correlation 1" in failed
    assert "calibrated, 1 permutation" not in failed


def test_a_threshold_without_a_guarantee_would_be_found(monkeypatch):
    def picked(confidence, is_correct, target, *_):
        """The lowest confidence above which these answers happen to meet the target."""
        met = [c for c in np.unique(confidence) if np.mean(~is_correct[confidence >= c]) <= target]
        coverage = np.mean(confidence >= met[0]) if met else None
        return {"threshold": met[0] if met else None, "coverage": coverage}

    monkeypatch.setattr(simulate, "guaranteed_threshold", picked)
    failed = [share.name for share in shares_of(simulate.thresholds, 100, 30) if share.has_failed]
    assert "at the edge, threshold errs more than the target" in failed


def test_a_share_fails_beyond_the_error_of_the_simulation_only():
    share = simulate.Share("made up", 930, 1000, (0.95, 1.0))
    assert not share.has_failed  # 0.02 is 2.9 standard errors of 0.95
    assert replace(share, count=928).has_failed and "FAILED" in str(replace(share, count=928))
    assert not replace(share, count=928, wanted=None).has_failed
    assert replace(share, count=80, wanted=(0.0, 0.05)).has_failed
    assert not replace(share, count=0, repetitions=0).has_failed


def test_the_exit_status_tells_of_a_failure(monkeypatch, capsys):
    def made_up(count):
        return lambda n_questions, repetitions, rng: iter([simulate.Share("made up", count, 1000, (0.9, 1.0))])

    for count, status in ((950, 0), (500, 1)):
        statement = simulate.Statement("made up", made_up(count), (20,))
        monkeypatch.setattr(simulate, "STATEMENTS", {"made up": statement})
        assert simulate.main(["--repetitions", "1000"]) == status
        assert f"1 shares, {status} out of their wanted range" in capsys.readouterr().out


def test_equal_arms_are_rarely_told_apart():
    (share,) = shares_of(simulate.false_verdicts, 200, 100)
    assert share.value <= 0.1


def test_a_planted_difference_is_found_by_pairing_only():
    paired, unpaired = shares_of(simulate.planted_difference, 600, 40)
    assert paired.value > 0.8
    assert unpaired.value < 0.2
