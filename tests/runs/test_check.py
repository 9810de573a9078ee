import json
import shutil

import pytest

from basics.errors import UserError
from basics.files import write_json
from basics.strict_json import sha256_of
from checks.hostile_questions import write_hostile_run
from questions.question_sets import Question
from runs.check import check_results, run_problems
from runs.results_folder import only_writer

QUESTIONS = [Question(f"q{number}", f"Which {number}?", ("x", "y", "z"), number % 3, "kind") for number in range(3)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return write_hostile_run(tmp_path_factory.mktemp("results"), QUESTIONS, "a thought", breaks=False)


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / finished.name)


def change_record(run, number, **changes):
    path = run / "records.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[number - 1] = json.dumps(json.loads(lines[number - 1]) | changes)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_finished_results_are_complete_and_consistent(run, capsys):
    pages = {"figures/one.png": "--redraw", "report.html": "--redraw"}
    (run / "figures").mkdir()
    for name in pages:
        (run / name).write_text("something")
    assert check_results([str(run)], lambda run: pages) == 0
    assert check_results([str(run.parent)], lambda run: pages) == 0
    assert capsys.readouterr().out == f"{run}: complete and consistent\n" * 2
    (run / "figures" / "one.png").write_bytes(b"")
    (run / "report.html").unlink()
    assert check_results([str(run)], lambda run: pages) == 1
    assert capsys.readouterr().out == (
        f"{run}: figures/one.png is missing or empty; --redraw makes it again\n"
        f"{run}: report.html is missing or empty; --redraw makes it again\n"
    )


def test_a_summary_that_cannot_say_its_figures_is_a_problem_and_no_traceback(run, capsys):
    def refuse(folder):
        raise UserError(f"{folder.name} has no cells")

    assert check_results([str(run)], refuse) == 1
    assert capsys.readouterr().out == f"{run}: figures and report cannot be checked: {run.name} has no cells\n"


def test_several_folders_are_checked_each_run_once(run, tmp_path, capsys):
    other = shutil.copytree(run, tmp_path / f"second_{run.name}")
    change_record(other, 1, p_true=7)
    assert check_results([str(run), str(tmp_path), str(other)], lambda run: {}) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{run}: complete and consistent", f"{other}: records.jsonl, line 1: p_true 7 is not between 0 and 1",
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"--check .*nowhere: no results there"):
        check_results([str(run), str(tmp_path / "nowhere")], lambda run: {})


def test_a_summary_of_other_settings_is_found(run):
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    config["settings"]["TARGET_ERROR"] = 0.3
    write_json(run / "config.json", config)
    assert list(run_problems(run)) == ["summary.json and config.json disagree in settings"]


def test_records_with_an_error_are_consistent(tmp_path):
    assert list(run_problems(write_hostile_run(tmp_path, QUESTIONS, "a thought", breaks=True))) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"confidence_thinking_tokens": 11, "confidence_thinking_ids": [7] * 11}, "11 is over its cap 10"),
        ({"confidence_thinking_tokens": 9}, "is not the number of its ids"),
        (
            {"confidence_thinking_tokens": 9, "confidence_thinking_ids": [7] * 9, "confidence_stopped": "capped"},
            "confidence_stopped 'capped' does not agree with 9 of 10 tokens",
        ),
        ({"confidence_stopped": "natural"}, "'natural' does not agree with 10 of 10 tokens"),
        ({"answer_budget": 1}, "answer_budget is not that of its cell"),
        ({"confidence": 1.2}, "confidence 1.2 is not between 0 and 1"),
        ({"p_true": None}, "p_true is missing and error does not say why"),
        ({"predicted_option": None}, "predicted_option is missing"),
        ({"answer_probability": 0.001}, "answer_probability is not the largest"),
        ({"answer_probabilities": [0.5, 0.2, 0.2]}, "do not add up to 1"),
        ({"option_order": [0, 0, 1]}, "option_order is no order"),
        ({"correct_option": 3}, "correct_option names no option"),
        ({"total_budget": 77}, "its cell is not one of the run's"),
        ({"question": "Which other?"}, "differs from that of an earlier line"),
        ({"options": 5}, "options is 5, where a list of texts belongs"),
        ({"options": ["x", "y", 3]}, "options holds 3, where a text belongs"),
        ({"permutation": True}, "permutation holds True, where a whole number belongs"),
        ({"answer_thinking": 7}, "answer_thinking holds 7, where a text belongs"),
        ({"answer_readout_tokens": -1}, "answer_readout_tokens -1 is not 0 or more"),
        ({"answer_stopped": "cut"}, "answer_stopped is 'cut', allowed is natural, capped, none"),
        ({"answer_probabilities": None}, "answer_probabilities do not add up to 1"),
        ({"answer_thinking_tokens": None}, "some fields of the answer stage are null and others are not"),
        ({"predicted_option": 9}, "answer_probability is not the largest"),
        ({"permutation": 1}, "a second record of question"),
    ],
)
def test_a_record_that_is_wrong_is_named_by_its_line(run, changes, words):
    change_record(run, 2, **changes)
    problems = [problem for problem in run_problems(run) if "records.jsonl, line " in problem]
    assert any(words in problem for problem in problems), problems


def test_two_confidence_scales_in_one_folder_are_found(run):
    """Some records have their confidence in steps of a thousandth, which is no number of the run's scale."""
    change_record(run, 3, confidence=0.375)
    assert "records.jsonl, line 3: confidence 0.375 is not one of those in config.json" in list(run_problems(run))


def test_a_run_of_another_version_is_said_to_be_one(run):
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    config["identity"]["schema_version"] = 2
    write_json(run / "config.json", config)
    (problem,) = run_problems(run)
    assert problem == "another version of the program made it (schema version 2, this one reads 4)"


def test_is_correct_must_follow_from_the_options(run):
    first = json.loads((run / "records.jsonl").read_text(encoding="utf-8").splitlines()[0])
    change_record(run, 1, is_correct=not first["is_correct"])
    assert "records.jsonl, line 1: is_correct does not follow from the options" in list(run_problems(run))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[:-30], "it has no end"),
        (lambda text: text.replace('"confidence": 0.', '"confidence": NaN, "x": 0.', 1), "strict JSON (NaN is"),
        (lambda text: "[" * 100_000 + "\n" + text, "line 1: no strict JSON"),
        (lambda text: "".join(text.splitlines(keepends=True)[:-1]), "17 of 18 records"),
    ],
)  # fmt: skip
def test_lines_that_are_torn_broken_or_missing_are_found(run, damage, words):
    path = run / "records.jsonl"
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    assert any(words in problem for problem in run_problems(run)), list(run_problems(run))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda lines: [*lines[:-1], lines[-1][:-30]], "computes what is missing"),
        (lambda lines: [*lines[:4], lines[4][:-30] + "\n", *lines[5:]], "goes on once these lines are mended"),
    ],
)  # fmt: skip
def test_a_torn_end_needs_the_same_command_and_a_broken_line_a_hand(run, damage, words):
    path = run / "records.jsonl"
    path.write_text("".join(damage(path.read_text(encoding="utf-8").splitlines(keepends=True))), encoding="utf-8")
    last = list(run_problems(run))[-1]
    assert last.startswith("17 of 18 records") and words in last


def test_questions_other_than_those_hashed_are_found(run):
    path = run / "records.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("Which 1?", "Which 7?"), encoding="utf-8")
    assert any("another fingerprint" in problem for problem in run_problems(run))


def test_a_summary_that_the_records_do_not_give_is_found(run):
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    summary["cells"][0]["confidences"]["confidence"]["aurc"] = 0.123
    write_json(run / "summary.json", summary)
    (problem,) = run_problems(run)
    assert problem.startswith("summary.json and records.jsonl disagree: cells[0].confidences.confidence.aurc is 0.123")
    (run / "summary.json").unlink()
    assert list(run_problems(run)) == ["summary.json is missing; the run's own command writes it"]
    for text, words in (
        ("[]", "summary.json: is no summary of a run, it has no list of cells"),
        ('{"cells": []}', "summary.json cannot be used (KeyError: 'target_error')"),
        ('{"cells": [{"accuracy": "0.5"}]}', "summary.json: cells[0].accuracy is '0.5', where a number belongs"),
        ('{"cells": [], "target_error": ' + "[" * 5000 + "]" * 5000 + "}", "is not JSON (brackets within brackets)"),
    ):
        (run / "summary.json").write_text(text)
        assert words in next(run_problems(run))


def test_the_answer_in_the_words_of_another_version_is_consistent_and_its_figures_still_count(run):
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    (entry,) = summary["comparisons"]["by_budget"]
    entry["answer"] = "Total budget 10: as an earlier version said it."
    write_json(run / "summary.json", summary)
    assert list(run_problems(run)) == []
    entry["best_ratio"]["aurc"] = 0.123
    write_json(run / "summary.json", summary)
    assert ["best_ratio.aurc is 0.123" in problem for problem in run_problems(run)] == [True]
    del entry["answer"]
    write_json(run / "summary.json", summary)
    assert ["answer is None" in problem for problem in run_problems(run)] == [True, False]


def test_a_config_that_was_edited_is_found(run):
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    config["identity"]["model"] = "another"
    write_json(run / "config.json", config)
    assert "the name of the folder is not that of its config.json" in list(run_problems(run))
    assert run.name.endswith(sha256_of(config["identity"] | {"model": "a thought"})[:12])
    (run / "config.json").write_text("{}")
    assert "config.json cannot be used" in next(run_problems(run))


def test_many_problems_are_counted_and_the_exit_status_says_so(run, capsys):
    path = run / "records.jsonl"
    path.write_text("{}\n" * 30, encoding="utf-8")
    assert check_results([str(run)], lambda run: {}) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 21
    assert lines[-1].endswith("and 11 more")


def test_a_folder_without_results_or_with_a_run_at_work_is_refused(run, tmp_path):
    with pytest.raises(UserError, match="no results there"):
        check_results([str(tmp_path / "missing")], lambda run: {})
    with only_writer(run), pytest.raises(UserError, match="another run is writing there"):
        check_results([str(run)], lambda run: {})
