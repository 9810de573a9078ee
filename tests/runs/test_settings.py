import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

import run_experiment
from basics.errors import UserError
from runs.settings import (
    RULES,
    asked_of_results,
    check_spelling,
    comments_of_constants,
    flag_of,
    misspelt_settings,
    read_settings,
)

DEFAULTS = {name: getattr(run_experiment, name) for name in RULES}
COMMENTS = comments_of_constants(Path(run_experiment.__file__).read_text(encoding="utf-8"))


def settings_of(*argv, **changes):
    return read_settings(DEFAULTS | changes, run_experiment.DEMO, COMMENTS, "", list(argv))


def test_every_constant_of_the_config_block_has_a_rule_a_comment_and_a_flag():
    source = Path(run_experiment.__file__).read_text(encoding="utf-8")
    block = source[source.index("# --- Settings") : source.index("\n# --- What `--demo`")]
    assert set(re.findall(r"^(\w+) = ", block, re.MULTILINE)) == set(RULES)
    assert COMMENTS.keys() >= RULES.keys()


def test_the_published_defaults():
    settings = settings_of()
    assert settings["TOTAL_BUDGET"] == [200]
    assert settings["ANSWER_THINKING_RATIO"] == [0.5]
    assert settings["SAVE_DIR"] == "./results_reasoning/"
    assert settings["model_name"] == "Qwen/Qwen3-4B"
    assert (settings["TEMPERATURE"], settings["TOP_P"], settings["TOP_K"]) == (0.6, 0.95, 20)


def test_flags_override_constants():
    budgets = ["--total-budget", "100", "200", "400", "--answer-thinking-ratio", "0", "0.5", "1"]
    argv = [*budgets, "--model-name", "./here", "--n-questions", "0"]
    settings = settings_of(*argv)
    assert settings["TOTAL_BUDGET"] == [100, 200, 400]
    assert settings["ANSWER_THINKING_RATIO"] == [0.0, 0.5, 1.0]
    assert settings["model_name"] == "./here"
    assert settings["N_QUESTIONS"] == 0


def test_the_demo_is_a_set_of_values_that_flags_still_override():
    settings = settings_of("--demo", "--total-budget", "100", "400")
    assert settings["TOTAL_BUDGET"] == [100, 400]
    assert settings["ANSWER_THINKING_RATIO"] == [0, 0.25, 0.5, 0.75, 1]
    assert Path(settings["model_name"]).is_dir()
    assert Path(settings["DATASET"]).is_file()
    assert (settings["N_PERMUTATIONS"], settings["TEMPERATURE"]) == (1, 0.6)


@pytest.mark.parametrize("value", [-0.0, [0, -0.0]])
def test_minus_zero_is_zero(value):
    for settings in (settings_of(ANSWER_THINKING_RATIO=value), settings_of("--answer-thinking-ratio", "-0")):
        assert all(math.copysign(1, ratio) == 1 for ratio in settings["ANSWER_THINKING_RATIO"])


def test_a_list_in_the_constants_sweeps():
    assert settings_of(TOTAL_BUDGET=[100, 200])["TOTAL_BUDGET"] == [100, 200]


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("SAVE_DIR", Path("results") / "here", "results/here"),
        ("DATASET", Path("questions.json"), "questions.json"),
        ("TOTAL_BUDGET", range(100, 401, 100), [100, 200, 300, 400]),
        ("TOTAL_BUDGET", (100, 200), [100, 200]),
        ("TOTAL_BUDGET", np.array([100, 200]), [100, 200]),
        ("TOTAL_BUDGET", [np.int64(100), 200], [100, 200]),
        ("TOTAL_BUDGET", np.int32(100), [100]),
        ("ANSWER_THINKING_RATIO", np.linspace(0, 1, 5), [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("ANSWER_THINKING_RATIO", [np.float64(0.5)], [0.5]),
        ("N_QUESTIONS", np.int64(7), 7),
        ("CONVENTIONAL_ARM", np.bool_(False), False),
        ("TEMPERATURE", np.float32(0.5), 0.5),
        ("model_name", np.str_("owner/model"), "owner/model"),
        ("CASCADE_COSTS", ("0.50/M", 2, 1.0, np.float64(0)), ["0.5/M", "2.0", "1.0", "0.0"]),
    ],
)
def test_paths_ranges_and_numpy_values_are_the_plain_values_they_stand_for(name, value, plain):
    found = settings_of(**{name: value})[name]
    assert json.dumps(found) == json.dumps(plain)
    assert type(found) is type(plain)


@pytest.mark.parametrize("name", ["SAVE_DIR", "DATASET", "model_name"])
def test_home_and_variables_in_paths_stand_for_what_they_name(name, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("RUNS", "/scratch/runs")
    flag = flag_of(name)
    assert settings_of(flag, "$HOME/a")[name] == settings_of(flag, "~/a")[name] == "/home/ada/a"
    assert settings_of(**{name: Path("~/a")})[name] == "/home/ada/a"
    assert settings_of(flag, "${RUNS}/a")[name] == "/scratch/runs/a"
    named_so = tmp_path / "$RUNS"
    named_so.mkdir()
    assert settings_of(flag, str(named_so))[name] == str(named_so)


@pytest.mark.parametrize(("text", "left"), [("$NO_SUCH_DIR/a", "$NO_SUCH_DIR"), ("~nobody-here/a", "~nobody-here")])
def test_a_variable_that_stands_for_nothing_is_one_line(text, left, monkeypatch):
    monkeypatch.delenv("NO_SUCH_DIR", raising=False)
    with pytest.raises(UserError) as caught:
        settings_of("--save-dir", text)
    assert str(caught.value) == f"--save-dir {text}: {left} stands for nothing here; write the path in full"


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        ("--total-bugdet 100", "unrecognized arguments: --total-bugdet 100"),
        ("--total 100", "unrecognized arguments: --total 100"),
        ("--answer-thinking-ratio 1.5", "--answer-thinking-ratio 1.5: allowed is a number from 0.0 to 1.0"),
        ("--answer-thinking-ratio nan", "--answer-thinking-ratio nan: allowed is a number from 0.0 to 1.0"),
        ("--total-budget -5", "--total-budget -5: allowed is a whole number of thinking tokens, 0 to 1,000,000"),
        ("--total-budget 100 -5", "--total-budget -5: allowed is a whole number of thinking tokens, 0 to 1,000,000"),
        ("--total-budget 99999999999999999999", "allowed is a whole number of thinking tokens, 0 to 1,000,000"),
        ("--n-permutations 1001", "--n-permutations 1001: allowed is a whole number of permutations, 1 to 1,000"),
        ("--total-budget 99.5", "--total-budget 99.5: allowed is a whole number of thinking tokens, 0 to 1,000,000"),
        ("--n-questions -3", "--n-questions -3: allowed is a whole number of questions (0 = all), 0 or more"),
        ("--n-permutations 0", "--n-permutations 0: allowed is a whole number of permutations, 1 to 1,000"),
        ("--top-p 0", "--top-p 0.0: allowed is a number above 0, at most 1"),
        ("--temperature inf", "--temperature inf: allowed is a number from 0 (greedy) to 10"),
        ("--target-error 1", "--target-error 1.0: allowed is a number above 0 and below 1"),
        (
            "--confidence verbalised",
            "--confidence verbalised: allowed is one of confidence, confidence_expectation, p_true, answer_probability",
        ),
        ("--wrong-answer-costs 1 0", "--wrong-answer-costs 0.0: allowed is a number above 0, at most 1,000,000"),
        ("--wrong-answer-costs inf", "--wrong-answer-costs inf: allowed is a number above 0, at most 1,000,000"),
        ("--smallest-difference 1", "--smallest-difference 1.0: allowed is a number from 0 (none) to below 1"),
        ("--smallest-difference -0.1", "--smallest-difference -0.1: allowed is a number from 0 (none) to below 1"),
        ("--seed 1 --seed 2", "--seed is given 2 times, once is allowed"),
        ("--seed", "expected 1 argument"),
        ("--n-questions 5 6", "unrecognized arguments: 6"),
    ],
)
def test_a_wrong_flag_is_one_line_that_names_it(argv, line):
    with pytest.raises(UserError) as caught:
        settings_of(*argv.split())
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOTAL_BUDGET", 200.0),
        ("TOTAL_BUDGET", []),
        ("TOTAL_BUDGET", [100, "200"]),
        ("TOTAL_BUDGET", True),
        ("ANSWER_THINKING_RATIO", "0.5"),
        ("ANSWER_THINKING_RATIO", None),
        ("N_QUESTIONS", [5]),
        ("model_name", ""),
        ("SAVE_DIR", b"results"),
        ("TOTAL_BUDGET", np.array([[100, 200]])),
        ("TOTAL_BUDGET", np.array([])),
        ("TOTAL_BUDGET", range(0)),
        ("TOTAL_BUDGET", {100, 200}),
        ("ANSWER_THINKING_RATIO", np.float64("nan")),
        ("TEMPERATURE", range(1)),
        ("SEED", object()),
        ("CASCADE_COSTS", []),
        ("CASCADE_COSTS", ["1/M", -1]),
        ("CASCADE_COSTS", ["free", 1]),
        ("CASCADE_COSTS", ["inf", 1]),
        ("CASCADE_COSTS", [True, 1]),
    ],
)
def test_a_wrong_constant_is_refused_by_its_name(name, value):
    with pytest.raises(UserError, match=f"^{name} "):
        settings_of(**{name: value})


def test_of_the_verbs_only_the_cascade_takes_settings():
    assert asked_of_results(["--total-budget", "5"]) is None
    assert asked_of_results(["--check", "a", "b"]) == ("--check", ["a", "b"], [])
    flags = ["--cascade-costs", "1/M", "2", "--target-error=0.1"]
    assert asked_of_results(["--cascade", "a", "b", *flags]) == ("--cascade", ["a", "b"], flags)
    for argv in ("--check a --seed 1", "--cascade a b --demo", "--cascade a --redraw b"):
        with pytest.raises(UserError, match=r"^--\w+ reads folders of results and takes no other flag"):
            asked_of_results(argv.split())


def test_a_name_that_is_no_text_is_one_line():
    with pytest.raises(UserError, match=r"^--dataset 'q\\udcff.json': it holds bytes that are no text in UTF-8$"):
        settings_of("--dataset", "q\udcff.json")


def test_a_constant_without_its_comment_still_runs_and_a_missing_one_is_named():
    assert read_settings(DEFAULTS, {}, {}, "", [])["SEED"] == 42
    with pytest.raises(UserError, match="lack SEED"):
        read_settings({name: value for name, value in DEFAULTS.items() if name != "SEED"}, {}, COMMENTS, "", [])


@pytest.mark.parametrize(("line", "setting"), [
    ("N_QUESTION = 5", "N_QUESTIONS"), ("MODEL_NAME = 'x'", "model_name"), ("TOTAL_BUDGETS = [1]", "TOTAL_BUDGET"),
    ("save_dir = '.'", "SAVE_DIR"),
])  # fmt: skip
def test_a_constant_that_is_nearly_a_setting_is_one_line(line, setting):
    with pytest.raises(UserError, match=f"^{line.partition(' ')[0]} is no setting; the setting is {setting}$"):
        check_spelling(f"SEED = 1\n{line}\n")


def test_constants_of_ones_own_may_stand_beside_the_settings():
    assert misspelt_settings(Path(run_experiment.__file__).read_text(encoding="utf-8")) == {}
    own = "DATA = '/data'\nDATASET = DATA + '/questions.csv'\nBUDGETS = [1, 2]\nN_SEEDS = 3\n"
    assert misspelt_settings(own) == {}
    assert misspelt_settings(own + "N_SEED = 3\nTOP_KS = 4\n") == {"TOP_KS": "TOP_K"}


def test_help_shows_every_setting_with_its_comment(capsys):
    with pytest.raises(SystemExit) as caught:
        settings_of("--help")
    assert caught.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name in RULES:
        assert flag_of(name) in shown
        assert " ".join(COMMENTS[name].split()) in shown
