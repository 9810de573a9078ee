import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from scoring import recalibration
from scoring.metrics import expected_calibration_error
from scoring.recalibration import METHODS, N_FOLDS, SCORES, isotonic_map, platt_map, recalibrated

GRID = np.arange(101) / 100


def overconfident(n, seed=0):
    """Confidences in hundredths that are right less often than they say."""
    rng = np.random.default_rng(seed)
    confidence = np.round(rng.beta(4, 1, n), 2)
    return confidence, rng.random(n) < 0.6 * confidence


@pytest.mark.parametrize("n", [1, 7, 400])
def test_the_isotonic_map_is_that_of_scikit_learn(n):
    confidence, is_correct = overconfident(n)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(confidence, is_correct).predict(GRID)
    np.testing.assert_allclose(isotonic_map(confidence, is_correct)(GRID), theirs, atol=1e-12)


@pytest.mark.parametrize("n", [7, 400])
def test_platts_map_is_that_of_scikit_learn(n):
    confidence, is_correct = overconfident(n, seed=1)
    scores = logit(np.clip(confidence, 0.005, 0.995))
    theirs = _SigmoidCalibration().fit(scores, is_correct).predict(logit(np.clip(GRID, 0.005, 0.995)))
    np.testing.assert_allclose(platt_map(confidence, is_correct)(GRID), theirs, atol=1e-4)


def test_platts_map_is_logistic_regression_on_the_smoothed_outcomes():
    confidence, is_correct = overconfident(400, seed=2)
    x, right, wrong = logit(np.clip(confidence, 0.005, 0.995)), is_correct.sum(), (~is_correct).sum()
    target = np.where(is_correct, (right + 1) / (right + 2), 1 / (wrong + 2))
    model = LogisticRegression(C=1e12, tol=1e-10, max_iter=10_000)
    model.fit(np.tile(x, 2)[:, None], np.repeat([1, 0], 400), sample_weight=np.concatenate([target, 1 - target]))
    line = model.coef_[0, 0] * logit(np.clip(GRID, 0.005, 0.995)) + model.intercept_[0]
    np.testing.assert_allclose(platt_map(confidence, is_correct)(GRID), expit(line), atol=1e-4)


def test_answers_that_a_threshold_tells_apart_have_a_map_too():
    confidence = np.array([0.2] * 10 + [0.8] * 10)
    for learn in METHODS.values():
        low, high = learn(confidence, confidence > 0.5)(np.array([0.2, 0.8]))
        assert 0 <= low < 0.2 and 0.8 < high <= 1
        assert np.isfinite(learn(confidence, np.ones(20, dtype=bool))(GRID)).all()


def memorising_map(confidence, is_correct):
    """Knows the outcome of every confidence that it saw, and nothing of others."""
    seen = dict(zip(confidence, is_correct, strict=True))
    return lambda given: np.array([float(seen.get(value, 0.5)) for value in given])


def test_no_question_is_judged_by_a_map_that_saw_it(monkeypatch):
    """Each question has a confidence of its own, shared by its permutations: who saw one of them knows the outcome."""
    monkeypatch.setattr(recalibration, "METHODS", {"memory": memorising_map})
    question = np.repeat(np.arange(100), 3)
    scores = recalibrated(question / 100, question % 3 == 0, question, question >= 0, np.random.default_rng(5))
    assert scores["memory"]["brier"] == 0.25


def test_an_overconfident_model_is_mended_and_the_scores_are_those_of_the_mapped_confidences():
    confidence, is_correct = overconfident(2000, seed=3)
    question = np.arange(2000)
    scores = recalibrated(confidence, is_correct, question, question % 2 == 0, np.random.default_rng(6))
    fold = np.random.default_rng(6).permutation(question % N_FOLDS)
    mapped = np.empty(2000)
    for number in range(N_FOLDS):
        learnt = isotonic_map(confidence[fold != number], is_correct[fold != number])
        mapped[fold == number] = learnt(confidence[fold == number])
    assert scores["isotonic"] == pytest.approx({
        "brier": brier_score_loss(is_correct, mapped), "ece": expected_calibration_error(mapped[::2], is_correct[::2]),
        "log_score": log_loss(is_correct, np.clip(mapped, 0.005, 0.995)),
    })  # fmt: skip
    for method in METHODS:
        assert scores[method]["brier"] < brier_score_loss(is_correct, confidence) - 0.02
        assert scores[method]["ece"] < 0.1 < expected_calibration_error(confidence, is_correct)


def test_too_few_questions_give_no_scores():
    confidence, is_correct = overconfident(57)
    question, all_first = np.repeat(np.arange(19), 3), np.ones(57, dtype=bool)
    scores = recalibrated(confidence, is_correct, question, all_first, np.random.default_rng(0))
    assert scores == {method: dict.fromkeys(SCORES) for method in METHODS}
    nothing = np.array([], dtype=bool)
    assert recalibrated(np.array([]), nothing, nothing.astype(int), nothing, np.random.default_rng(0)) == scores
