"""`--look`: what is printed of a data set, without any model."""
import json
import re

import pytest

import run_experiment
from evaluation_tool import answer_prompt
from questions.question_sets import load_questions


@pytest.fixture
def dataset(tmp_path):
    rows = [
        {"id": f"q{n}", "question": f"Number {n}?", "A": "x", "B": "y", "C": "z", "answer": "ABC"[n % 3]}
        for n in range(6)
    ]
    rows[1]["Category"] = "odd"
    rows += [{"id": "hidden", "question": "?", "A": "x", "B": "y", "answer": None}] * 2
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    return str(path)


def test_it_says_how_a_file_is_read_and_shows_three_questions_as_prompts(dataset, capsys):
    assert run_experiment.main(["--look", dataset, "--model-name", "no-such-model"]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[:5] == [
        f"{dataset}: 8 rows, 6 questions, 2 skipped",
        "Shape: a column per option, 6 questions; key in 'answer'; keys that can be read in one way only: letter (6)",
        "Options per question: 3; right options: A 2, B 2, C 2",
        "Categories: 1; questions without one: 5",
        "Skipped: 2 x no key (first: hidden)",
    ]
    questions = {one.question_id: one for one in load_questions(dataset, None, "test").questions}
    found = re.findall(r"^--- (q\d), as the model will see it; right: ([ABC])$", shown, re.MULTILINE)
    assert len(found) == 3
    for question_id, letter in found:
        assert answer_prompt(questions[question_id].question, questions[question_id].options) in shown
        assert "ABC"[questions[question_id].correct_option] == letter


def test_the_seed_chooses_the_questions_and_what_could_control_a_terminal_is_spelled_out(tmp_path, dataset, capsys):
    shown = []
    for seed in "12":
        assert run_experiment.main(["--look", dataset, "--seed", seed]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] != shown[1]
    path = tmp_path / "hostile.csv"
    path.write_text("question,A,B,answer\n\x1b[2JQ?,x,y,B\n")
    assert run_experiment.main(["--look", str(path)]) == 0
    assert "\\x1b[2JQ?" in capsys.readouterr().out


def test_a_missing_answer_is_named_and_the_simplest_file_is_shown_below(tmp_path, capsys):
    path = tmp_path / "rows.csv"
    path.write_text("question,A,B\nQ?,x,y\n")
    assert run_experiment.main(["--look", str(path)]) == 2
    message, *example = capsys.readouterr().err.splitlines()
    assert "no field for the key (answer, answer_index, correct, label, ...)" in message
    assert example[0] == "    question,A,B,C,D,answer"
    assert len(example) == 3


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--look", "a.csv", "--look", "b.csv"], "--dataset is given 2 times, once is allowed"),
        (["--look"], "argument --look: expected one argument (see --help)"),
        (["--look", "a.csv"], "DATASET = 'a.csv': there is no such file"),
        (["--check", "results", "--look", "a.csv"], "takes no other flag (--look a.csv)"),
    ],
)
def test_what_cannot_be_looked_at_is_one_line(argv, line, capsys):
    assert run_experiment.main(argv) == 2
    assert line in capsys.readouterr().err
