"""A short version of each loop in `checks/`, by the same code."""
import json

import pytest

from basics.errors import UserError, one_line
from checks import cut_journal, fuzz, kill_and_resume
from checks.hostile_questions import check_page, extreme_files
from questions.question_sets import Question, load_questions
from run_experiment import make_units
from runs.budgets import make_cells


def test_a_killed_run_goes_on_to_the_same_records(capsys, monkeypatch):
    monkeypatch.setattr(kill_and_resume, "MOST_KILLS", 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert kill_and_resume.main(["--signal", "KILL", "--runs", "1", "--seed", "3"]) == 0
    counted = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (counted["runs"], counted["runs_with_faults"], counted["kills"]) == (1, 0, 1)


def test_the_kill_loop_sees_a_record_that_differs():
    names = ("question_id", "permutation", "thought", "total_budget", "answer_thinking_ratio", "x")
    wanted = [dict(zip(names, ("a", 0, 0, 1, None, 0.5), strict=True))]
    assert kill_and_resume.differences([wanted[0] | {"x": 0.500001}], wanted) == []
    assert len(kill_and_resume.differences([wanted[0] | {"x": 0.6}], wanted)) == 1
    assert len(kill_and_resume.differences([wanted[0] | {"x": None}], wanted)) == 1
    assert len(kill_and_resume.differences([*wanted, *wanted], wanted)) == 1
    assert len(kill_and_resume.differences([], wanted)) == 1


def test_a_cut_journal_goes_on_to_the_same_records(tiny_model, tmp_path):
    questions = [Question(f"q{number}", f"Which {number}?", ("x", "y"), 0, None) for number in range(3)]
    units = make_units(questions, 1, 42)
    n_cuts, n_differing = cut_journal.cut_and_resume(tiny_model, units, make_cells([4], [0, 0.5]), tmp_path, 97)
    assert n_cuts > 10
    assert n_differing == 0


def test_hostile_question_files_are_loaded_or_refused_in_one_line():
    counts = fuzz.fuzz_loader(150, same_draws=True, long=50_000)
    assert counts["tried"] >= 150
    assert min(counts["refused"], counts["gave questions"]) > 10


def test_runs_of_hostile_questions_can_be_read_back_and_checked():
    assert fuzz.fuzz_records(10, same_draws=True)["tried"] >= 10


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("doubled columns", "the column 'answer' occurs twice"),
        ("900 nested lists as key", "the key is list, not text or number"),
        ("100,000 brackets", "broken JSON"),
    ],
)
def test_an_extreme_file_is_refused(name, words, tmp_path):
    ((_, suffix, content),) = [file for file in extreme_files() if file[0] == name]
    path = tmp_path / f"questions{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words):
        load_questions(str(path), None, "test")


def test_a_page_in_which_a_text_became_markup_is_found():
    page = "<html><p title='{0}'>{0}</p></html>".format
    check_page(page("&lt;b&gt;"), page("w0001"))
    for text in ("<b>bold</b>", "x' onclick='y", "<script>alert(1)</script>", "<a href='javascript:x'>"):
        with pytest.raises(AssertionError):
            check_page(page(text), page("w0001"))


def test_a_line_for_the_terminal_holds_nothing_but_print():
    assert one_line("a\x1b[2Jb\u202ec\nd\x00\ud800") == "a\\x1b[2Jb\\u202ec\\nd\\x00\\ud800"
    assert one_line("naïve 日本") == "naïve 日本"
    assert len(one_line("x" * 10**6)) < 1100
