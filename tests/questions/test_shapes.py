"""Every shape that is read as published, rebuilt with questions of our own, and the right key of each."""
import gzip
import json

import datasets
import numpy
import pandas
import pytest

from basics.errors import UserError
from questions.question_sets import load_questions

STONES = ("granite", "chalk", "slate", "marble")
PETS = ("a cat", "a dog", "a hen", "a cow")
BY_LETTER = dict(zip("ABCD", STONES, strict=True))
MORE_BY_LETTER = dict(zip("ABCD", PETS, strict=True))


def load(content, folder, name="rows.json", split="test"):
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return load_questions(str(path), None, split)


def right_texts(question_set):
    assert question_set.skipped == []
    return [one.options[one.correct_option] for one in question_set.questions]


def columns(names, *keys, key="answer", **more):
    """Rows with one field per option."""
    return [
        {"question": f"Which number {n}?"} | dict(zip(names, STONES, strict=True)) | {key: value} | more
        for n, value in enumerate(keys)
    ]


# Each as its authors publish it; the right options are in the second place of the pair.
SHAPES = {
    "columns, letters": (columns("ABCD", "B", "d"), ["chalk", "marble"]),
    "columns, texts": (columns("ABCD", "chalk", " Marble "), ["chalk", "marble"]),
    "columns, letter and text": (columns("ABCD", "B) chalk", "D. marble"), ["chalk", "marble"]),
    "columns, numbers from 0": (columns("ABCD", 1, 0, 3), ["chalk", "granite", "marble"]),
    "columns, numbers from 1": (columns("ABCD", 2, 1, 4), ["chalk", "granite", "marble"]),
    "columns, numbers as 2.0": (columns("ABCD", 2.0, 1.0, 4.0), ["chalk", "granite", "marble"]),
    "columns in small letters": (columns("abcd", "B"), ["chalk"]),
    "option 1, number": (columns([f"option {n}" for n in range(1, 5)], 2, 4), ["chalk", "marble"]),
    "option 1, letter": (columns([f"option {n}" for n in range(1, 5)], "B", "D"), ["chalk", "marble"]),
    "option 1, text": (columns([f"option {n}" for n in range(1, 5)], "chalk"), ["chalk"]),
    "option_1, name of the column": (columns([f"option_{n}" for n in range(1, 5)], "option_2"), ["chalk"]),
    "Option A": (columns([f"Option {one}" for one in "ABCD"], "B", "option c"), ["chalk", "slate"]),
    "choice_a, correct": (columns([f"choice_{one}" for one in "abcd"], "b", key="correct"), ["chalk"]),
    "ending0, label": (columns([f"ending{n}" for n in range(4)], 1, 0, key="label"), ["chalk", "granite"]),
    "MedMCQA on the hub": (
        columns(["opa", "opb", "opc", "opd"], 1, 0, 3, key="cop", exp="Chalk it is.", choice_type="single"),
        ["chalk", "granite", "marble"],
    ),
    "MedMCQA's own file": (
        columns(["opa", "opb", "opc", "opd"], 2, 1, 4, key="cop"), ["chalk", "granite", "marble"],
    ),
    "C-Eval": (columns("ABCD", "B", explanation="soft", id=0)[:1], ["chalk"]),
    "CMMLU": (
        [{"Unnamed: 0": 0, "Question": "Which?"} | BY_LETTER | {"Answer": "B"}], ["chalk"],
    ),
    "KMMLU": (
        [
            {"question": "Which?", "answer": 2, "Category": "Stones", "Human Accuracy": 0.5} | BY_LETTER,
            {"question": "Which pet?", "answer": 4, "Category": "Pets", "Human Accuracy": 0.5} | MORE_BY_LETTER,
        ],
        ["chalk", "a cow"],
    ),
    "MMLU's list": ([{"question": "Which?", "choices": list(STONES), "answer": 1, "subject": "s"}], ["chalk"]),
    "choices, letter": ([{"question": "Which?", "choices": list(STONES), "answer": "B"}], ["chalk"]),
    "options, text": ([{"question": "Which?", "options": list(STONES), "answer": "chalk"}], ["chalk"]),
    "MedQA": (
        [{"question": "Which?", "answer": "chalk", "options": BY_LETTER, "meta_info": "x", "answer_idx": "B"}],
        ["chalk"],
    ),
    "MedQA with a list of objects": (
        [{"question": "Which?", "options": [{"key": k, "value": v} for k, v in BY_LETTER.items()], "answer_idx": "B"}],
        ["chalk"],
    ),
    "GPQA": (
        [
            {"Question": "Which?", "Correct Answer": "chalk", "Incorrect Answer 1": "slate", "Record ID": "r",
             "Incorrect Answer 2": "marble", "Incorrect Answer 3": "granite", "Explanation": "soft"},
        ],
        ["chalk"],
    ),
    "SciQ": (
        [{"question": "Which?", "correct_answer": "chalk", "distractor1": "slate", "distractor2": "marble",
          "distractor3": "granite", "support": "soft"}],
        ["chalk"],
    ),
    "TruthfulQA mc1 on the hub": (
        [{"question": "Which?", "mc1_targets": {"choices": ["chalk", *PETS], "labels": [1, 0, 0, 0, 0]},
          "mc2_targets": {"choices": ["chalk", *PETS], "labels": [1, 1, 0, 0, 0]}}],
        ["chalk"],
    ),
    "TruthfulQA mc1, its own file": (
        [{"question": "Which?", "mc1_targets": {"slate": 0, "chalk": 1, "marble": 0}}], ["chalk"],
    ),
    "HellaSwag": (
        [{"ind": 7, "activity_label": "Drawing", "ctx": "She takes a piece of", "endings": list(STONES), "label": "1"}],
        ["chalk"],
    ),
    "RACE": (
        [{"example_id": "h1.txt", "article": "A story.", "answer": "B", "question": "Which?", "options": list(STONES)}],
        ["chalk"],
    ),
    "ARC and CommonsenseQA, their own files": (
        [{"id": "n1", "answerKey": "B",
          "question": {"stem": "Which?", "choices": [{"text": t, "label": k} for k, t in BY_LETTER.items()]}}],
        ["chalk"],
    ),
    "OpenBookQA on the hub": (
        [{"question_stem": "Which", "choices": {"text": list(STONES), "label": list("ABCD")}, "answerKey": "B"}],
        ["chalk"],
    ),
    "ORAN-Bench-13K": (
        [["Which?", [f"{n}. {one}" for n, one in enumerate(STONES, 1)], "2"]], ["chalk"],
    ),
    "ham radio pools": (
        [
            {"id": "T1", "correct": 1, "refs": "[97.1]", "question": "Which?", "answers": list(STONES)},
            {"id": "T2", "correct": 0, "refs": "", "question": "Which pet?", "answers": list(PETS)},
        ],
        ["chalk", "a cat"],
    ),
    "AQuA-RAT": ([{"question": "Which?", "options": ["A)slate", "B)chalk"], "correct": "B"}], ["chalk"]),
    "MMLU-Pro": ([{"question": "Which?", "options": list(STONES), "answer": "B", "answer_index": 1}], ["chalk"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_a_published_shape_is_read_with_its_key(name, tmp_path):
    rows, expected = SHAPES[name]
    question_set = load(rows, tmp_path)
    assert right_texts(question_set) == expected
    assert question_set.notes == []
    assert len(question_set.questions[0].options) == len(set(question_set.questions[0].options)) >= 2


def test_what_belongs_to_a_question_is_shown_and_what_explains_it_is_not(tmp_path):
    (race,) = load(SHAPES["RACE"][0], tmp_path).questions
    assert race.question == "A story.\n\nWhich?"
    (sciq,) = load(SHAPES["SciQ"][0], tmp_path).questions
    assert sciq.question == "Which?"
    first, second = load(SHAPES["KMMLU"][0], tmp_path).questions
    assert (first.category, second.category) == ("Stones", "Pets")


def test_a_text_with_several_questions_gives_them_all_with_ids_of_their_own(tmp_path):
    row = {"id": "high1.txt", "article": "A story.", "questions": ["Which?", "Which pet?"],
           "options": [list(STONES), list(PETS)], "answers": ["B", "D"]}  # fmt: skip
    for content, name in ((row, "1.txt"), ([row], "rows.json"), (json.dumps(row), "rows.jsonl")):
        question_set = load(content, tmp_path, name)
        assert right_texts(question_set) == ["chalk", "a cow"]
        assert [one.question_id for one in question_set.questions] == ["high1.txt-1", "high1.txt-2"]
        assert question_set.questions[1].question == "A story.\n\nWhich pet?"
    uneven = row | {"answers": ["B"]}
    with pytest.raises(UserError, match="unknown shape"):
        load([uneven], tmp_path)


def test_where_the_right_option_stands_first_the_order_does_not_tell_it(tmp_path):
    rows = [
        {"question": f"Which number {n}?", "correct_answer": "right", "distractor1": "x", "distractor2": "y",
         "distractor3": "z"}
        for n in range(400)
    ]  # fmt: skip
    places = [one.correct_option for one in load(rows, tmp_path).questions]
    # 400 draws at 1/4: a standard deviation of 8.7; each place is at most 5 of them away
    assert all(abs(places.count(place) - 100) < 44 for place in range(4))
    reordered = [{**row, "distractor1": "z", "distractor3": "x"} for row in rows]
    assert [one.options for one in load(reordered, tmp_path).questions] == [
        one.options for one in load(rows, tmp_path).questions
    ]


# --- How the numbers of a key count, over the whole file -----------------------------------------------------------


def test_numbers_that_may_count_from_0_or_1_are_not_guessed(tmp_path):
    with pytest.raises(UserError, match="can be read in two ways: as number from 0 and as number from 1"):
        load(columns("ABCD", 1, 2, 3, 2), tmp_path)


def test_one_wrong_number_in_a_file_that_counts_otherwise_is_skipped(tmp_path):
    from_0 = load(columns("ABCD", *[0, 1, 2, 3] * 20, 4), tmp_path)
    assert [one.correct_option for one in from_0.questions] == [0, 1, 2, 3] * 20
    assert [row["reason"] for row in from_0.skipped] == [
        "the key '4' can be read in two ways: as number from 0 and from 1, and the other rows do not settle it"
    ]
    from_1 = load(columns("ABCD", *[1, 2, 3, 4] * 20, 0), tmp_path)
    assert [one.correct_option for one in from_1.questions] == [0, 1, 2, 3] * 20
    assert len(from_1.skipped) == 1


def test_a_file_that_counts_both_ways_gives_no_question(tmp_path):
    with pytest.raises(UserError, match="none of its 40 rows can be used"):
        load(columns("ABCD", *[0, 1, 2, 3] * 5, *[1, 2, 3, 4] * 5), tmp_path)


@pytest.mark.parametrize("name", ["choices", "options", "endings"])
def test_every_list_whose_numbers_count_from_1_is_refused(name, tmp_path):
    question, key = ("ctx", "label") if name == "endings" else ("question", "answer")
    rows = [{question: f"Number {n}?", name: list(STONES), key: value} for n, value in enumerate([1, 2, 4])]
    with pytest.raises(UserError, match="seems to count options from 1"):
        load(rows, tmp_path)


def test_option_columns_numbered_from_1_with_keys_from_0_are_refused(tmp_path):
    with pytest.raises(UserError, match="seems to count options from 0, their own numbers count from 1"):
        load(columns([f"option {n}" for n in range(1, 5)], 0, 1, 2), tmp_path)


def test_a_hidden_key_is_no_key_in_every_shape(tmp_path):
    rows = columns(["opa", "opb", "opc", "opd"], 0, -1, key="cop")
    assert [row["reason"] for row in load(rows, tmp_path).skipped] == ["no key"]
    hidden = {"ctx": "She", "endings": list(STONES), "label": ""}
    with pytest.raises(UserError, match="1 x no key"):
        load([hidden], tmp_path)


# --- Rows with faults ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": "Q?", "A": "x", "B": "y", "D": "z", "answer": "A"}, "the columns of its options do not run on"),
        ({"question": "Q?", "A": "x", "B": " ", "C": "z", "answer": "A"}, "option 2 is blank"),
        ({"question": "Q?", "A": "x", "a": "y", "B": "z", "answer": "A"}, "it has the field 'A' twice, but for capi"),
        ({"question": "Q?", "A": "x", "B": "y", "answer": "C"}, "the key names no option"),
        ({"question": "Q?", "A": "x", "B": "y", "answer": "A", "correct": "B"}, "two statements of the key disagree"),
        ({"question": "Q?", "options": BY_LETTER, "answer_idx": "B", "answer": "slate"}, "two statements of the key"),
        ({"question": "Q?", "options": "x, y", "answer_idx": "B"}, "options is str, not options with a label each"),
        ({"question": "Q?", "mc1_targets": {"x": 1, "y": 1}}, "mc1_targets marks 2 options as right"),
        ({"question": "Q?", "mc1_targets": {"choices": ["x", "y"], "labels": [1]}}, "has not as many labels as choi"),
        ({"question": "Q?", "correct_answer": "x", "distractor1": "\ud83d"}, "is not valid Unicode"),
        ({"question": "Q?", "correct_answer": "x", "distractor1": 5}, "is int, not text"),
        ({"question": "Q?", "correct_answer": "x", "distractor1": "x"}, "the key names two options"),
        ({"question": "Q?", "A": "x", "B": "y"}, "its fields fit no known shape: no field for the key (answer"),
        ({"question": "Q?", "answer": "A"}, "no field for the options (columns A, B, C, ..."),
    ],
)  # fmt: skip
def test_a_row_with_a_fault_is_skipped_with_its_reason(row, reason, tmp_path):
    good = {"question": "Usable?", "choices": ["x", "y", "z"], "answer": 0}
    (skipped,) = load([good, row], tmp_path).skipped
    assert reason in skipped["reason"]


def test_an_unknown_shape_is_told_what_is_missing_and_shown_the_simplest_one(tmp_path):
    with pytest.raises(UserError) as caught:
        load([{"question": "Q?", "choices": ["x", "y"], "solution": "x"}], tmp_path)
    message = str(caught.value)
    assert "unknown shape; no field for the key (answer, answer_index, correct, label, ...)" in message
    assert "fields found: question, choices, solution" in message
    assert right_texts(load("\n".join(caught.value.example), tmp_path, "simplest.csv")) == ["8", "apple"]
    assert len(caught.value.example) == 3


# --- Files that hold them ------------------------------------------------------------------------------------------

TABLE = "question,A,B,C,D,answer\nWhich?,granite,chalk,slate,marble,B\nWhich pet?,a cat,a dog,a hen,a cow,D\n"
ROWS = [{"question": "Which?"} | BY_LETTER | {"answer": "B"}, {"question": "Which pet?"} | MORE_BY_LETTER
        | {"answer": "D"}]  # fmt: skip


def as_frame(rows=ROWS):
    return pandas.DataFrame(rows)


def saved(folder, splits):
    tables = {name: datasets.Dataset.from_list(rows) for name, rows in splits.items()}
    whole = datasets.DatasetDict(tables) if len(tables) > 1 else next(iter(tables.values()))
    whole.save_to_disk(str(folder))


CONTAINERS = {
    "a.csv": TABLE,
    "semicolons.csv": TABLE.replace(",", ";"),
    "tabs.csv": TABLE.replace(",", "\t"),
    "a.tsv": TABLE.replace(",", "\t"),
    "utf-16.csv": TABLE.encode("utf-16"),
    "utf-16.json": json.dumps(ROWS).encode("utf-16"),
    "blanks in headers.csv": TABLE.replace("question,A,B", " Question , A ,B "),
    "nameless and empty.csv": TABLE.replace("answer", "answer,,").replace(",B\n", ",B,,\n").replace(",D\n", ",D,,,\n"),
    "without header.csv": TABLE.partition("\n")[2],
    "without header.tsv": TABLE.partition("\n")[2].replace(",", "\t"),
    "a.csv.gz": gzip.compress(TABLE.encode()),
    "a.jsonl.gz": gzip.compress("\n".join(map(json.dumps, ROWS)).encode()),
    "data.json": {"version": "1.1", "data": ROWS},
    "questions.json": {"title": "Stones and pets", "questions": ROWS},
    "splits.json": {"train": [ROWS[0] | {"question": "Another?"}], "test": ROWS},
    "only split.json": {"validation": ROWS},
    "hub viewer.json": {"features": [{"name": "question"}], "rows": [{"row_idx": 0, "row": row} for row in ROWS]},
    "lists of cells.json": [list(row.values()) for row in ROWS],
    "as ORAN-Bench-13K.json": (
        '["Which?", ["1. granite", "2. chalk"], "2"]\n["Which pet?", ["1. a cat", "2. a cow"], "2"]\n'
    ),
    "lists of cells.jsonl": "\n".join(json.dumps(list(row.values())) for row in ROWS),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_gives_its_rows(name, tmp_path):
    assert right_texts(load(CONTAINERS[name], tmp_path, name)) == ["chalk", "a cow"]


@pytest.mark.parametrize("orient", [None, "records", "columns", "index", "split", "table", "values"])
def test_what_pandas_writes_as_json_is_read_in_every_orientation(orient, tmp_path):
    lists = [{"question": "Which?", "choices": list(STONES), "answer": 1},
             {"question": "Which pet?", "choices": list(PETS), "answer": 3}]  # fmt: skip
    for rows in (ROWS, lists):
        assert right_texts(load(as_frame(rows).to_json(orient=orient), tmp_path)) == ["chalk", "a cow"]


def test_what_pandas_writes_as_csv_is_read_also_with_lists_and_arrays_in_a_cell(tmp_path):
    assert right_texts(load(as_frame().to_csv(), tmp_path, "index.csv")) == ["chalk", "a cow"]
    for make in (list, numpy.array, json.dumps, lambda options: numpy.array(options, dtype=object)):
        rows = [{"question": "Which?", "choices": make(list(STONES)), "answer": "B"},
                {"question": "Whose?", "choices": make(["the dog's", 'a "cow"', "d", "e" * 90]), "answer": "A"}]
        question_set = load(as_frame(rows).to_csv(index=False), tmp_path, "lists.csv")
        assert right_texts(question_set) == ["chalk", "the dog's"]
        assert question_set.questions[1].options == ("the dog's", 'a "cow"', "d", "e" * 90)
    labelled = {"text": numpy.array(STONES, dtype=object), "label": numpy.array(list("ABCD"), dtype=object)}
    rows = [{"question": "Which?", "choices": labelled, "answerKey": "B"}]
    assert right_texts(load(as_frame(rows).to_csv(index=False), tmp_path, "arc.csv")) == ["chalk"]


def test_ids_that_pandas_turned_into_numbers_with_a_point_are_whole(tmp_path):
    rows = [{"id": 1.0} | ROWS[0], {"id": None} | ROWS[1]]
    path = tmp_path / "rows.parquet"
    as_frame(rows).to_parquet(path)
    first, second = load_questions(str(path), None, "test").questions
    assert first.question_id == "1"
    assert len(second.question_id) == 16
    assert load([{"id": 2.0, "question": "No key?"} | BY_LETTER, *rows], tmp_path).skipped[0]["row"] == "2"


def test_a_saved_data_set_is_read_and_of_several_splits_the_one_that_is_asked_for(tmp_path):
    saved(tmp_path / "one", {"only": ROWS})
    assert right_texts(load_questions(str(tmp_path / "one"), None, "test")) == ["chalk", "a cow"]
    saved(tmp_path / "several", {"train": ROWS[:1], "test": ROWS[1:]})
    assert right_texts(load_questions(str(tmp_path / "several"), None, "test")) == ["a cow"]
    assert right_texts(load_questions(str(tmp_path / "several"), None, "train")) == ["chalk"]
    with pytest.raises(UserError, match=r"it has no split 'dev' \(DATASET_SPLIT\); it has train, test"):
        load_questions(str(tmp_path / "several"), None, "dev")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "dataset_info.json").write_text("{}")
    with pytest.raises(UserError, match="broken"):
        load_questions(str(tmp_path / "broken"), None, "test")


def test_splits_of_a_json_file_are_chosen_by_name(tmp_path):
    splits = {"train": ROWS[:1], "dev": ROWS[1:]}
    assert right_texts(load(splits, tmp_path, split="dev")) == ["a cow"]
    with pytest.raises(UserError, match="it has no split 'test'"):
        load(splits, tmp_path)


def test_a_table_whose_last_column_is_missing_is_no_table_without_header(tmp_path):
    with pytest.raises(UserError, match="no field for the key"):
        load("id,question,A,B\n1,Which?,x,y\n", tmp_path, "keyless.csv")
