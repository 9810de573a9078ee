import numpy as np
import pytest

from scoring.variance_components import variance_components


def by_definition(values):
    """values: (questions, permutations, thoughts). The balanced analysis of variance as textbooks have it."""
    a, p, t = values.shape
    of_order, of_question = values.mean(axis=2), values.mean(axis=(1, 2))
    sampling = ((values - of_order[:, :, None]) ** 2).sum() / (a * p * (t - 1))
    orders = t * ((of_order - of_question[:, None]) ** 2).sum() / (a * (p - 1))
    questions = p * t * ((of_question - values.mean()) ** 2).sum() / (a - 1)
    return (questions - orders) / (p * t), (orders - sampling) / t, sampling


def flat(values):
    """Values, question and permutation of each record."""
    question, permutation, _ = np.indices(values.shape)
    return values.ravel(), question.ravel(), permutation.ravel()


def test_balanced_data_give_the_textbook_estimates():
    values = np.random.default_rng(0).random((7, 3, 4))
    found = variance_components(*flat(values))
    assert [found[name] for name in ("questions", "permutations", "sampling")] == pytest.approx(by_definition(values))
    assert found["within_questions"] == pytest.approx(found["permutations"] + found["sampling"])


def test_components_are_right_in_the_mean_with_records_missing():
    rng = np.random.default_rng(1)
    shape, found = (60, 3, 3), []
    for _ in range(200):
        values = rng.normal(0, 1, (60, 1, 1)) + rng.normal(0, 0.5, (60, 3, 1)) + rng.normal(0, 0.7, shape)
        kept = rng.random(values.size) > 0.3
        components = variance_components(*(column[kept] for column in flat(values)))
        found.append([components[name] for name in ("questions", "permutations", "sampling")])
    error = np.std(found, axis=0) / np.sqrt(len(found))
    assert np.all(np.abs(np.mean(found, axis=0) - [1, 0.25, 0.49]) < 4 * error)


def test_what_one_thought_or_one_permutation_cannot_tell_is_null():
    values = np.random.default_rng(2).random((20, 3, 3))
    one_thought = variance_components(*flat(values[:, :, :1]))
    assert (one_thought["permutations"], one_thought["sampling"]) == (None, None)
    assert one_thought["within_questions"] == pytest.approx(values[:, :, 0].var(axis=1, ddof=1).mean())
    one_order = variance_components(*flat(values[:, :1]))
    assert one_order["permutations"] is None
    assert one_order["sampling"] == pytest.approx(values[:, 0].var(axis=1, ddof=1).mean())
    assert one_order["within_questions"] == one_order["sampling"]
    for nothing in (values[:, :1, :1], values[:1], values[:0]):
        assert set(variance_components(*flat(nothing)).values()) == {None}


def test_the_share_of_questions_is_1_without_noise_and_0_without_questions():
    of_questions = np.repeat(np.arange(12.0), 4).reshape(12, 2, 2)
    assert variance_components(*flat(of_questions))["share_from_questions"] == 1
    noise = np.tile([0.0, 1.0], 24).reshape(12, 2, 2)
    found = variance_components(*flat(noise))
    assert found["questions"] < 0.1
    assert found["share_from_questions"] == 0
    assert variance_components(*flat(np.ones((12, 2, 2))))["share_from_questions"] is None
