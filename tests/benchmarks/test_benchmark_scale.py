import json

import pytest

from benchmarks import benchmark_scale


def test_an_exponent_is_the_slope_of_the_logarithms_and_null_without_a_value():
    assert benchmark_scale.exponent([1, 10, 100], [2, 200, 20_000]) == pytest.approx(2)
    assert benchmark_scale.exponent([1, 10], [None, 3]) is None
    assert benchmark_scale.exponent([1, 10], [0, 3]) is None


def test_counts_grow_as_the_number_of_questions(monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark_scale, "SERIES", {"questions": [(n, n, [6], (0.5,), 8) for n in (8, 16)]})
    assert benchmark_scale.main(["--series", "questions", "--output", str(tmp_path / "scale.json")]) == 0
    found = json.loads((tmp_path / "scale.json").read_text(encoding="utf-8"))["questions"]
    few, _ = found["points"]
    assert few["sampled_tokens"] <= 8 * 6
    assert found["exponents"]["passes"] == pytest.approx(1, abs=0.2)  # prompts of unlike length are fed apart
    assert found["exponents"]["journal_bytes"] == pytest.approx(1, abs=0.1)
