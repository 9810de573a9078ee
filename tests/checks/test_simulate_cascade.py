"""A short version of checks/simulate_cascade.py, and that it can fail (fixed seeds)."""
from cascade.certificate import READINGS
from checks import simulate_cascade as simulate


def test_the_certificate_fails_no_more_than_chance_allows():
    found = simulate.simulate("at the edge", 300, 40, 0.1, seed=1)
    assert found["failures"] <= simulate.most_failures(40)
    assert found["difference"] < 1e-6


def test_a_certificate_without_a_correction_for_the_search_is_seen_to_fail():
    found = simulate.simulate("at the edge", 300, 40, 0.1, seed=1, level_factor=200)
    assert found["failures"] > simulate.most_failures(40)


def test_good_tiers_save_most_of_what_can_be_saved():
    found = simulate.simulate("good", 300, 5, 0.1, seed=1)
    assert all(found["saved"][one] > 0.8 * found["possible"][one] for one in READINGS)
    assert all(found["saved"][one] <= found["possible"][one] + 1e-9 for one in READINGS)
