import importlib.util
import json
import math

import pytest

import run_experiment
from benchmarks import benchmark_engines


@pytest.fixture
def measured(tiny_folder, question_file, tmp_path):
    """Runs the arms once on four questions; returns the line of JSON that is added to the file."""

    def run(*arms, more=()):
        output = tmp_path / "engines.json"
        arguments = [
            "--model-name", str(tiny_folder), "--dataset", str(question_file), "--questions", "4", "--total-budget",
            "8", "--rows", "3", "--lm-eval-rows", "3", "--rounds", "1", "--pause", "0", "--output", str(output),
        ]  # fmt: skip
        assert benchmark_engines.main([*arguments, *more, "--arms", *arms]) == 0
        (line,) = output.read_text(encoding="utf-8").splitlines()
        return json.loads(line)

    return run


def needs(package):
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"needs the package {package} (benchmarks/README.md)")


def test_whole_runs_have_ratios_to_this_program(measured):
    arms = measured("ours", "recipe")["arms"]
    assert list(arms) == ["ours", "recipe"]
    for found in arms.values():
        assert len(found["seconds"]["values"]) == 1 and found["sampled_tokens"]["median"] > 0
    assert arms["ours"]["ratio_of_seconds"]["values"] == [1.0]
    one, other = (arms[arm]["seconds"]["median"] for arm in ("recipe", "ours"))
    assert arms["recipe"]["ratio_of_seconds"]["median"] == pytest.approx(one / other)


def test_turns_too_short_for_the_clock_of_the_processor_have_no_ratio():
    turn = {"seconds": 0.004, "processor_seconds": 0.0, "sampled_tokens": 3}
    found = benchmark_engines.summary("ours", {"ours": [turn]})
    assert found["ratio_of_seconds"]["median"] == 1.0 and "ratio_of_processor_seconds" not in found
    assert " - " in benchmark_engines.table({"ours": found})


def test_continuous_is_out_when_it_takes_longer_than_its_limit(measured, capfd):
    arms = measured("answer_only", "continuous", more=("--limit", "0"))["arms"]
    assert "not done after 0 s" in arms["continuous"]["failed"]
    assert arms["answer_only"]["sampled_tokens"]["median"] == 0
    assert "continuous   did not run: " in capfd.readouterr().err


@needs("vllm")
def test_vllm_samples_the_tokens_that_this_program_samples(measured):
    demo = run_experiment.DEMO  # vLLM's CPU attention does not know the tiny model's heads of 8
    more = ("--model-name", demo["model_name"], "--dataset", demo["DATASET"])
    arms = measured("ours", "vllm", more=more)["arms"]
    assert arms["vllm"]["sampled_tokens"] == arms["ours"]["sampled_tokens"]
    assert arms["vllm"]["calls"]["median"] > 0


@needs("lm_eval")
def test_the_harness_gives_the_answers_of_the_answer_stage(measured):
    agreement = measured("answer_only", "lm_eval")["agreement"]
    same = agreement["same_token_ids"]
    assert (same["questions"], same["equal_answers"]) == (4, 4)
    assert same["largest_difference"] < 1e-5
    assert agreement["equal_prompts"] <= agreement["as_timed"]["equal_answers"] <= 4


def test_ratios_are_of_two_turns_of_one_round():
    found = {"ours": [{"seconds": s, "processor_seconds": 1.0} for s in (1.0, 10.0, 2.0)]}
    found["vllm"] = [{"seconds": s, "processor_seconds": 3.0} for s in (2.0, 10.0, 6.0)]
    ratio = benchmark_engines.summary("vllm", found)["ratio_of_seconds"]
    assert ratio == {"median": 2.0, "values": [2.0, 1.0, 3.0]}
    assert benchmark_engines.summary("vllm", {"vllm": found["vllm"]}).keys() == {"seconds", "processor_seconds"}


def test_agreement_counts_letters_and_measures_probabilities():
    found = benchmark_engines.agreement([[0.6, 0.4], [0.5, 0.5]], [[0.7, 0.3], [0.4, 0.6]])
    assert (found["questions"], found["equal_answers"]) == (2, 1)
    assert math.isclose(found["largest_difference"], 0.1)
