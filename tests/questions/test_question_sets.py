import gzip
import itertools
import json
import random
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import datasets
import pyarrow
import pytest
from pyarrow import parquet

from basics.errors import UserError
from questions.option_orders import permuted
from questions.question_sets import Question, fingerprint, load_questions, select_questions

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = Path(__file__).parents[1] / "fixtures"
TELEQNA_ZIP = ROOT.parent / "shared" / "data" / "TeleQnA.zip"


def load(path):
    return load_questions(str(path), None, "test")


def load_fixture(name):
    return load(FIXTURES / name).questions


def question(options, correct_option=0, question_id="q"):
    return Question(question_id, "Which?", tuple(options), correct_option, None)


def teleqna_row(**changes):
    return {"question": "Q?", "option 1": "x", "option 2": "y", "answer": "option 1: x"} | changes


def mmlu_row(**changes):
    return {"question": "Q?", "choices": ["x", "y", "z"], "answer": 0} | changes


def arc_row(key, labels):
    return {"question": "Q?", "choices": {"text": ["x", "y"], "label": labels}, "answerKey": key}


def load_rows(rows, folder):
    path = folder / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return load(path)


def reason(row, folder):
    """Why a row is skipped, between a usable row and nothing else."""
    question_set = load_rows([mmlu_row(question="A usable one?"), row], folder)
    assert len(question_set.questions) == 1
    (skipped,) = question_set.skipped
    return skipped["reason"]


def refusal(dataset, dataset_config=None, dataset_split="test"):
    with pytest.raises(UserError) as caught:
        load_questions(str(dataset), dataset_config, dataset_split)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- Shapes --------------------------------------------------------------------------------------------------------


def test_teleqnas_own_file_has_the_option_number_as_key():
    question_set = load(FIXTURES / "teleqna.txt")
    assert question_set.questions == [
        Question(
            "question 0",
            "Which mast is painted green? [Toy Release 1]",
            ("The northern mast", "The southern mast", "Both option 1 and option 2"),
            1,
            "Toy standards",
        ),
        Question(
            "question 1",
            "How many wires does the toy telephone need?",
            ("One", "Two", "Three", "Four", "None of the above"),
            0,
            "Toy lexicon",
        ),
    ]
    assert question_set.skipped == []
    assert question_set.notes == [
        {"row": "question 1", "note": "the text of its answer differs from that of the option"}
    ]


def test_mmlu_and_teleqna_on_the_hub():
    question_set = load(FIXTURES / "mmlu.jsonl")
    pebble, leaf = question_set.questions
    assert pebble.options == ("the dry one", "the wet one", "every one", "no pebble")
    assert (pebble.correct_option, pebble.category, leaf.correct_option) == (2, "toy_physics", 0)
    assert question_set.skipped == [{"row": "row 3", "reason": "no key"}]


def test_arc_with_numbers_or_letters_as_labels():
    question_set = load(FIXTURES / "arc.jsonl")
    assert question_set.questions == [
        Question("toy_1", "What warms a stone?", ("moonlight", "sunlight", "fog"), 1, None),
        Question("toy_2", "What cools a stone?", ("rain", "fire"), 0, None),
    ]
    assert question_set.skipped == [{"row": "toy_3", "reason": "no key"}]


def test_commonsenseqa_openbookqa_and_mmlu_pro():
    assert load_fixture("commonsenseqa.jsonl") == [
        Question("c0ffee", "Where does a spoon sleep?", ("drawer", "river", "cloud", "shoe", "drum"), 0, None)
    ]
    assert load_fixture("openbookqa.jsonl") == [
        Question("7-toy", "A candle in a closed jar will", ("sing", "go out", "grow", "melt the jar"), 1, None)
    ]
    assert load_fixture("mmlu_pro.jsonl") == [
        Question("70", "Which toy train is longest?", ("red", "blue", "green", "grey", "pink"), 3, "toys")
    ]


def test_aqua_loses_its_letters_and_may_be_json_lines_in_a_json_file():
    snail, half = load_fixture("aqua.json")
    assert snail.options == ("21 m", "24 m", "10 m", "4 m", "37 m")
    assert half.options[half.correct_option] == "5"


def test_csv_holds_lists_as_json_or_as_python_literals():
    pebble, leaf = load_fixture("mmlu.csv")
    assert pebble == load_fixture("mmlu.jsonl")[0]
    assert leaf.question == "Which leaf\nfloats?"
    assert leaf.options == ("oak", "elm's", "ash", "fir")
    assert load_fixture("arc.csv") == load_fixture("arc.jsonl")[:1]


def test_teleqna_in_a_table_leaves_the_cells_of_missing_options_empty(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("id,question,option 1,option 2,option 3,answer\nt1,Q?,x,y,,option 2\n")
    assert load(path).questions == [Question("t1", "Q?", ("x", "y"), 1, None)]


@pytest.mark.parametrize("name", ["mmlu", "arc", "mmlu_pro"])
def test_parquet_and_a_json_list_give_what_json_lines_give(name, tmp_path):
    rows = [json.loads(line) for line in (FIXTURES / f"{name}.jsonl").read_text().splitlines()]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.PARQUET")
    expected = load(FIXTURES / f"{name}.jsonl")
    assert load(tmp_path / "rows.PARQUET") == expected
    assert load_rows(rows, tmp_path) == expected


def test_an_unknown_shape_is_refused_with_what_is_missing_and_the_fields_found(tmp_path):
    for rows in ([{"prompt": "Q?", "gold": 1}], {"prompt": "Q?", "gold": 1}):
        path = tmp_path / "rows.json"
        path.write_text(json.dumps(rows))
        message = refusal(path)
        assert "no field for the options" in message
        assert "fields found: prompt, gold; the simplest shape is a .csv file such as" in message


# --- Dirt ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (mmlu_row(question=None), "the question is missing"),
        (mmlu_row(question=" \n"), "the question is blank"),
        (mmlu_row(question=7), "the question is int, not text"),
        (mmlu_row(question="half a pair: \ud83d"), "the question is not valid Unicode"),
        (mmlu_row(choices=["x"]), "1 options; 2 to 26 are allowed"),
        (mmlu_row(choices=[str(number) for number in range(27)]), "27 options; 2 to 26 are allowed"),
        (mmlu_row(choices=["x", " "]), "option 2 is blank"),
        (mmlu_row(choices=["x", 2]), "option 2 is int, not text"),
        (mmlu_row(choices="x, y"), "choices is str, not a list"),
        (mmlu_row(answer=3), "the key names no option"),
        (mmlu_row(answer=-2), "the key names no option"),
        (mmlu_row(answer=2.5), "the key names no option"),
        (mmlu_row(answer=float("nan")), "no key"),
        (mmlu_row(answer=True), "the key is bool, not text or number"),
        (mmlu_row(answer=None), "no key"),
        (mmlu_row(id=["a"]), "the id is list, not text"),
        (teleqna_row(answer="option 3: z"), "the key names no option"),
        (teleqna_row(answer=f"option {'9' * 5000}"), "the key names no option"),
        (teleqna_row(answer="q"), "the key names no option"),
        (teleqna_row(**{"option 4": "z"}), "its option numbers do not run 1, 2, 3, ..."),
        (teleqna_row(**{"option 2": ""}), "1 options; 2 to 26 are allowed"),
        (arc_row("A", labels=["A"]), "choices has not as many labels as texts"),
        (arc_row("A", labels=["A", "A"]), "the key names two options"),
        (arc_row("C", labels=["A", "B"]), "the key names no option"),
        ({"question": "Q?", "options": ["A)x", "C)y"], "correct": "A"}, "do not begin with A), B), C), ..."),
        ({"question": "Q?", "options": ["A)x", "B)y"], "correct": "C"}, "the key names no option"),
        (["Q?", "x", "y"], "its fields fit no known shape"),
    ],
)
def test_a_row_that_cannot_be_used_is_skipped_with_its_reason(row, expected, tmp_path):
    assert expected in reason(row, tmp_path)


def test_a_key_whose_text_occurs_twice_is_ambiguous_but_doubled_wrong_options_are_only_noted(tmp_path):
    assert reason(mmlu_row(choices=["x", "y", "x "]), tmp_path) == "another option has the same text as the correct one"
    question_set = load_rows([mmlu_row(choices=["x", "y", "y"])], tmp_path)
    assert len(question_set.questions) == 1
    assert question_set.notes == [{"row": "row 1", "note": "two wrong options have the same text"}]


def test_a_doubled_id_counts_once_whatever_its_content(tmp_path):
    first, other = mmlu_row(id="a"), mmlu_row(id="a", question="Another?")
    question_set = load_rows([first, first, other, mmlu_row(id="b")], tmp_path)
    assert [(one.question_id, one.correct_option) for one in question_set.questions] == [("a", 0), ("b", 0)]
    assert question_set.skipped == [
        {"row": "a", "reason": "exact duplicate of an earlier row"},
        {"row": "a", "reason": "an earlier row has the same id and other content"},
    ]
    assert question_set.notes == [{"row": "b", "note": "same question and options as 'a'"}]


def test_json_that_names_a_question_or_a_field_twice_loses_nothing_in_silence(tmp_path):
    row, other = json.dumps(teleqna_row()), json.dumps(teleqna_row(question="Other?"))
    doubled_field = row.replace('"option 2"', '"option 1": "lost", "option 2"')
    path = tmp_path / "doubled.json"
    path.write_text(f'{{"question 1": {row}, "question 1": {other}, "question 2": {doubled_field}}}')
    question_set = load(path)
    assert [one.question for one in question_set.questions] == ["Q?"]
    assert [one["reason"] for one in question_set.skipped] == [
        "an earlier row has the same id and other content",
        "it has the field 'option 1' twice",
    ]


def test_an_id_that_is_not_given_depends_on_the_content_and_not_on_the_row(tmp_path):
    rows = [mmlu_row(question=f"Number {number}?") for number in range(5)]
    forwards = load_rows(rows, tmp_path).questions
    backwards = load_rows(rows[::-1], tmp_path).questions
    assert {one.question_id: one.question for one in forwards} == {one.question_id: one.question for one in backwards}
    assert len({one.question_id for one in forwards}) == 5
    (changed,) = load_rows([rows[0] | {"choices": ["x", "y", "Z"]}], tmp_path).questions
    assert changed.question_id not in {one.question_id for one in forwards}


def test_a_source_without_one_usable_row_is_refused_with_count_and_reasons(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([mmlu_row(answer=-1)] * 3 + [mmlu_row(question="")]))
    assert refusal(path).endswith("none of its 4 rows can be used: 3 x no key; 1 x the question is blank")


# --- Faults of files and of the hub --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.json", b"", "it is empty"),
        ("a.json", b"[]", "it holds no rows"),
        ("a.json", b"3", "its JSON is int; allowed is a list or an object"),
        ("a.json", b'{"q":\n {"x": }}', "broken JSON in line 2: Expecting value"),
        ("a.txt", b"[" * 100_000, "broken JSON: "),
        ("a.json", b"[" + b"9" * 5000 + b"]", "broken JSON: "),
        ("a.json", "[\"\u00fc\"]".encode("latin-1"), "byte 2 is not UTF-8"),
        ("a.json", "[{}]".encode("utf-16-le"), "it holds NUL bytes"),
        ("a.jsonl", b'{"a": 1}\n\n{"a": \n', "broken JSON in line 3: Expecting value"),
        ("a.csv", b'question,choices,answer\nQ?,"[1', "broken CSV in line 2: unexpected end of data"),
        ("a.csv", b"question,answer,answer\nQ?,1,2\n", "the column 'answer' occurs twice"),
        ("a.csv", b"question,choices,answer\nQ?,x,y,1\n", "1 x it has more cells than the header"),
        ("a.parquet", b"", "broken parquet: "),
        ("a.parquet", b"PAR1 not really PAR1", "broken parquet: "),
        ("a.xlsx", b"PK", "it has the suffix '.xlsx'; allowed is a hub id, a folder that `save_to_disk` wrote, or a"),
        ("a.tsv", b"question\tanswer\n", "it holds no rows"),
        ("a.jsonl.gz", b"no gzip", "Not a gzipped file"),
        ("a.json.gz", gzip.compress(b"[{}]", mtime=0)[:-9], "broken gzip: Compressed file ended before the end"),
        ("a.json", b"\xff\xfe[", "is not UTF-16; save it as UTF-8"),
    ],
)
def test_a_fault_of_a_file_is_one_line_that_names_it(name, content, expected, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    message = refusal(path)
    assert message.startswith(f"DATASET = {str(path)!r}: ")
    assert expected in message


def test_two_fields_of_one_option_number_are_not_one_option(tmp_path):
    for field in ("option 01", "option \u0661"):
        assert reason(teleqna_row(**{field: "z"}), tmp_path) == "two of its fields have the same option number"


def test_a_key_that_is_no_single_value_is_named(tmp_path):
    assert reason(mmlu_row(answer=[0]), tmp_path) == "the key is list, not text or number"
    assert reason(arc_row({"a": 1}, ["A", "B"]), tmp_path) == "the key is dict, not text or number"


def test_a_doubled_column_of_a_table_is_refused(tmp_path):
    path = tmp_path / "doubled.parquet"
    columns = [pyarrow.array(["Q?"]), pyarrow.array([["x", "y"]]), pyarrow.array([0]), pyarrow.array([1])]
    parquet.write_table(pyarrow.Table.from_arrays(columns, ["question", "choices", "answer", "answer"]), path)
    assert "the column 'answer' occurs twice" in refusal(path)


def test_a_path_is_never_looked_for_on_the_hub(tmp_path):
    for dataset in ("owner/missing.jsonl", "./missing", "~/missing.parquet", "missing.CSV"):
        assert refusal(dataset) == f"DATASET = {dataset!r}: there is no such file"
    assert "it is a folder" in refusal(tmp_path)
    for dataset in ("three/part/name", "json"):  # `load_dataset("json")` takes whatever lies in the working folder
        assert "neither a file nor a hub id (owner/name)" in refusal(dataset)
    assert "is a local file and has none" in refusal(FIXTURES / "mmlu.jsonl", dataset_config="main")


def test_a_byte_order_mark_and_unusual_line_separators_are_part_of_no_question(tmp_path):
    path = tmp_path / "marked.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(mmlu_row(question="a\u2028b"), ensure_ascii=False).encode() + b"\r\n")
    assert [one.question for one in load(path).questions] == ["a\u2028b"]


@pytest.fixture
def hub_folder(tmp_path, monkeypatch):
    """Makes the hub id toy/questions load from a folder with two configurations, by the real `load_dataset`."""
    folder = tmp_path / "toy"
    for name in ("arc", "mmlu"):
        (folder / name).mkdir(parents=True)
        (folder / name / "test.jsonl").write_bytes((FIXTURES / f"{name}.jsonl").read_bytes())
    configs = [f"- config_name: {name}\n  data_files: {name}/*.jsonl\n" for name in ("arc", "mmlu")]
    (folder / "README.md").write_text("---\nconfigs:\n" + "".join(configs) + "---\n")
    load_dataset = datasets.load_dataset
    monkeypatch.setattr(
        datasets,
        "load_dataset",
        lambda _, config, split: load_dataset(str(folder), config, split=split, cache_dir=str(tmp_path / "cache")),
    )


@pytest.mark.usefixtures("hub_folder")
def test_a_hub_data_set_gives_what_its_file_gives():
    for name in ("arc", "mmlu"):
        assert load_questions("toy/questions", name, "train") == load(FIXTURES / f"{name}.jsonl")


@pytest.mark.usefixtures("hub_folder")
def test_an_unknown_configuration_or_split_lists_those_there_are():
    assert "['arc', 'mmlu']" in refusal("toy/questions", None)
    assert "Example" not in refusal("toy/questions", None)
    assert "'nope' not found. Available: ['arc', 'mmlu']" in refusal("toy/questions", "nope")
    assert 'Unknown split "nope". Should be one of [\'train\']' in refusal("toy/questions", "arc", "nope")


class _Hub(BaseHTTPRequestHandler):
    """Answers every request for owner/<status>[-gated] with that status."""

    def do_GET(self):
        status, _, gated = self.path.partition("owner/")[2].partition("/")[0].partition("-")
        self.send_response(int(status or 404))
        if gated:
            self.send_header("X-Error-Code", "GatedRepo")
        elif status == "404":
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def hub_address():
    with HTTPServer(("127.0.0.1", 0), _Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


_ASK_HUB = """
import sys, time
import datasets
time.sleep = lambda seconds: None  # the client waits 23 s between its tries
from basics.errors import UserError
from questions.question_sets import load_questions
for dataset in sys.argv[1:]:
    try:
        load_questions(dataset, None, "test")
    except UserError as error:
        print(error)
"""


def ask_hub(names, tmp_path, **environment):
    environment |= {"HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1"}
    command = [sys.executable, "-c", _ASK_HUB, *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return [line.partition("): ")[2] for line in done.stdout.splitlines()]


def test_what_the_hub_denies_or_lacks_is_one_line_each_that_says_what_to_do(hub_address, tmp_path):
    names = ["owner/401-gated", "owner/403-gated", "owner/404", "owner/401", "owner/500"]
    gated_401, gated_403, missing, denied, broken = ask_hub(names, tmp_path, HF_ENDPOINT=hub_address)
    for name, message in zip(names, (gated_401, gated_403), strict=False):
        assert f"accept the terms at https://huggingface.co/datasets/{name} and log in with `hf auth login`" in message
    assert "the hub has no such data set" in missing
    assert "denied access (401)" in denied
    assert "(500); try again later" in broken


def test_a_hub_that_is_down_or_switched_off_is_one_line(tmp_path):
    (down,) = ask_hub(["owner/any"], tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert "the hub cannot be reached and it is not in the local cache" in down
    (switched_off,) = ask_hub(["owner/any"], tmp_path, HF_HUB_OFFLINE="1")
    assert "switched off by HF_HUB_OFFLINE" in switched_off


# --- The key, over the whole file ----------------------------------------------------------------------------------


def keyed_rows(keys, options=("w", "x", "y", "z"), **more):
    return [mmlu_row(question=f"Number {n}?", choices=list(options), answer=key, **more) for n, key in enumerate(keys)]


def keys_read(rows, folder):
    return [one.correct_option for one in load_rows(rows, folder).questions]


@pytest.mark.parametrize("write", [int, str, float, lambda key: f" {key} "])
def test_numbers_that_count_from_1_are_refused_with_the_remedy(write, tmp_path):
    load_rows(keyed_rows(map(write, [0, 1, 2, 3])), tmp_path)
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(keyed_rows(map(write, [2, 1, 4, 3, 1]))))
    message = refusal(path)
    assert "'answer' seems to count options from 1: no key is 0 and 1 are the number of options" in message
    assert "subtract 1, or give the letter or the text of the right option" in message


def test_the_number_of_options_is_each_rows_own_and_hidden_keys_say_nothing(tmp_path):
    rows = [*keyed_rows([2, -1, None], "wx"), *keyed_rows([3, 1])]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    assert "counts options from 1" in refusal(path).replace("seems to count", "counts")
    assert keys_read(keyed_rows([3, 1, 2, -1]), tmp_path) == [3, 1, 2]  # none is the number of options


def test_one_number_too_large_among_others_is_a_bad_row_and_many_are_two_ways_of_counting(tmp_path):
    question_set = load_rows(keyed_rows([0, 1, 2, 3] * 20 + [4]), tmp_path)
    assert len(question_set.questions) == 80
    assert [row["reason"] for row in question_set.skipped] == ["the key names no option"]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(keyed_rows([0, 1, 2, 3] * 5 + [1, 2, 3, 4] * 5)))
    assert "from 0 in some rows and from 1 in others (5 of 40 rows" in refusal(path)


def test_numbers_against_labels_that_count_otherwise_are_refused(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([arc_row("2", ["0", "1"]), arc_row("1", ["0", "1"])]))
    assert "seems to count options from 1" in refusal(path)
    path.write_text(json.dumps([teleqna_row(answer="option 0: x")]))
    assert "seems to count options from 0, their own numbers count from 1" in refusal(path)


@pytest.mark.parametrize(
    "key", ["B", "b", "(B)", "(b)", "B.", "B)", " B: ", "[B]", "x", " X", "B) x", "(B) x", "B. x", 1, "1", 1.0]
)
def test_a_key_may_be_a_letter_or_the_options_own_text(key, tmp_path):
    assert keys_read(keyed_rows([0, key] if key in (1, "1") else [key]), tmp_path)[-1] == 1


def test_every_shape_reads_every_kind_of_key(tmp_path):
    for key in ("B", "(b)", "dog", 1):
        rows = [
            {"question": "Q?", "choices": ["cat", "dog"], "answer": key},
            {"question": "Q2?", "options": ["cat", "dog"], "answer_index": key},
            {"question": "Q3?", "options": ["cat", "dog"], "correct": key},
        ]
        assert keys_read(rows, tmp_path) == [1, 1, 1]
    for key in ("B", "b", "(B)", "dog"):
        row = arc_row(key, ["A", "B"])
        row["choices"]["text"] = ["cat", "dog"]
        assert keys_read([row], tmp_path) == [1]


def test_a_key_that_can_be_read_in_two_ways_follows_the_file_or_is_skipped(tmp_path):
    letters = keyed_rows(["C", "D"])
    texts = keyed_rows(["five", "six"], ["four", "five", "six"])
    open_row = mmlu_row(question="Which group?", choices=["A", "AB", "B", "O"], answer="B")
    assert keys_read([*letters, open_row], tmp_path)[-1] == 1
    assert keys_read([*texts, open_row], tmp_path)[-1] == 2
    (skipped,) = load_rows([*letters, *texts, open_row], tmp_path).skipped
    assert skipped["reason"] == "the key 'B' can be read in two ways: as letter and as text"
    (tmp_path / "one.json").write_text(json.dumps([open_row]))
    assert skipped["reason"] in refusal(tmp_path / "one.json")


def test_a_number_that_is_also_a_text_follows_the_file_or_is_skipped(tmp_path):
    indices, texts = keyed_rows([0, 3]), keyed_rows(["10", "30"], ["10", "20", "30"])
    open_row = mmlu_row(question="How many?", choices=["1", "2", "3"], answer="2")
    assert keys_read([*indices, open_row], tmp_path)[-1] == 2
    assert keys_read([*texts, open_row], tmp_path)[-1] == 1
    mixed = load_rows([mmlu_row(answer="A"), *texts, *indices, open_row], tmp_path)
    assert (len(mixed.skipped), len(mixed.questions)) == (5, 1)
    assert all("can be read in two ways" in row["reason"] for row in mixed.skipped)
    stray = mmlu_row(question="Stray?", choices=["7", "8", "9"], answer="8")  # no place, and a text by accident
    (skipped,) = load_rows([*keyed_rows([0, 1, 2, 3] * 5), stray], tmp_path).skipped
    assert "the other rows do not settle it" in skipped["reason"]


def test_a_number_is_no_text_by_accident_where_the_other_numbers_name_nothing(tmp_path):
    nothing = [mmlu_row(question=f"Q{n}?", choices=["x", "y"], answer=9) for n in range(10)]
    accident = mmlu_row(question="How many?", choices=["3", "9"], answer=9)
    with pytest.raises(UserError, match="none of its 11 rows can be used: 10 x the key names no option"):
        load_rows([*nothing, accident], tmp_path)
    texts = [mmlu_row(question=f"How many {n}?", choices=["3", "9"], answer=9) for n in range(20)]
    assert len(load_rows([nothing[0], *texts], tmp_path).questions) == 20


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (teleqna_row(answer="option 1: y"), "two statements of the key disagree: answer and text of its answer"),
        (teleqna_row(answer="option 1:  Y "), "two statements of the key disagree: answer and text of its answer"),
        (mmlu_row(answer="B) z"), "the letter and the text of its key name different options"),
        (mmlu_row(answer_text="y"), "two statements of the key disagree: answer and answer_text"),
        ({"question": "Q?", "options": ["x", "y"], "answer_index": 0, "answer": "B"}, "answer_index and answer"),
        ({"question": "Q?", "options": ["x", "y"], "answer_index": 0, "answer": "E"}, "answer_index and answer"),
        ({"question": "Q?", "options": ["x", "y"], "correct": "A", "answer": "y"}, "correct and answer"),
    ],
)
def test_two_statements_of_the_key_that_disagree_are_never_scored(row, expected, tmp_path):
    assert expected in reason(row, tmp_path)


def test_two_statements_that_agree_or_say_nothing_are_read(tmp_path):
    row = {"question": "Q?", "options": ["x", "y"], "answer_index": 1}
    for answer in ("B", "y", "(b)", None, ""):
        question_set = load_rows([row | {"answer": answer}], tmp_path)
        assert ([one.correct_option for one in question_set.questions], question_set.notes) == ([1], [])
    question_set = load_rows([row | {"answer": "as the painter said"}], tmp_path)
    assert question_set.notes == [{"row": "row 1", "note": "its answer names no option"}]


@pytest.mark.parametrize("given", [{}, {"id": "a"}])
def test_a_question_with_contradictory_keys_is_never_scored_whatever_its_order_of_options(given, tmp_path):
    rows = [
        mmlu_row(choices=["x", "y", "z"], answer=0) | given,
        mmlu_row(question="Another?"),
        mmlu_row(question=" q? ", choices=["Y", "x ", "z"], answer=0),
    ]
    question_set = load_rows(rows, tmp_path)
    assert [one.question for one in question_set.questions] == ["Another?"]
    reasons = {row["reason"] for row in question_set.skipped}
    assert reasons == {"the same question and options occur with different keys"}
    assert len(question_set.skipped) == 2
    rows[2]["answer"] = 1
    assert len(load_rows(rows, tmp_path).questions) == 3


def test_options_that_differ_in_capitals_alone_are_different_options(tmp_path):
    rows = [mmlu_row(choices=["mW", "MW"], answer=0), mmlu_row(choices=["MW", "mW"], answer=0)]
    assert len(load_rows([*rows, mmlu_row()], tmp_path).skipped) == 2
    rows[1]["answer"] = 1
    assert len(load_rows(rows, tmp_path).questions) == 2


def test_duplicates_without_ids_are_called_duplicates(tmp_path):
    question_set = load_rows([mmlu_row(subject="one"), mmlu_row(subject="two")], tmp_path)
    assert question_set.skipped == [{"row": "row 2", "reason": "exact duplicate of an earlier row"}]


# --- Content and labels --------------------------------------------------------------------------------------------


def test_texts_that_belong_to_a_question_are_shown_before_it(tmp_path):
    row = mmlu_row(hint="Look up.", passage=" A mast stands here.\n", context=None, image=None, explanation="x")
    (one,) = load_rows([row], tmp_path).questions
    assert one.question == "A mast stands here.\n\nLook up.\n\nQ?"
    contained = mmlu_row(question="A mast stands here. Q?", Context="A mast stands here.")
    (same,) = load_rows([contained], tmp_path).questions
    assert same.question == "A mast stands here. Q?"
    (bare,) = load_rows([mmlu_row(support="x", rationale="x", lecture="x", solution="x", hint=" ")], tmp_path).questions
    assert bare.question == "Q?"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"image": {"bytes": "..."}}, "its image cannot be shown"),
        ({"image_path": "mast.png"}, "its image_path cannot be shown"),
        ({"image_1": "mast.png"}, "its image_1 cannot be shown"),
        ({"figure": "Figure 2"}, "its figure cannot be shown"),
        ({"audio": [0.5]}, "its audio cannot be shown"),
        ({"context": ["a", "b"]}, "its context is list, not text"),
        ({"passage": {"text": "a"}}, "its passage is dict, not text"),
    ],
)
def test_a_row_whose_content_cannot_be_shown_is_skipped(content, expected, tmp_path):
    assert expected in reason(mmlu_row(**content), tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        ["A. cat", "B. dog", "C. 5"], ["(A) cat", "(B) dog", "(C) 5"], ["a) cat", "b) dog", "c) 5"],
        ["1) cat", "2) dog", "3) 5"], ["(1)cat", "(2)dog", "(3)5"], ["1. cat", "2. dog", "3. 5"],
        ["A: cat", "B: dog", "C: x"], ["i) cat", "ii) dog", "iii) 5"], ["A、cat", "B、dog", "C、5"],
        ["[A] cat", "[B] dog", "[C] 5"], ["Option A: cat", "Option B: dog", "Option C: 5"],
    ],
)  # fmt: skip
def test_options_lose_letters_or_numbers_that_all_carry_in_order(options, tmp_path):
    for key in ("B", "dog", options[1]):
        (one,) = load_rows([mmlu_row(choices=options, answer=key)], tmp_path).questions
        assert (one.options[:2], one.correct_option) == (("cat", "dog"), 1)
    (bare,) = load_rows([mmlu_row(choices=list(one.options), answer="B")], tmp_path).questions
    assert bare == one  # the id is a hash of what is shown


@pytest.mark.parametrize(
    "options",
    [
        ["1.5", "2.5", "3.5"], ["1: 2", "2: 3", "3: 4"], ["1", "2", "3"], ["A cat", "B dog"], ["A. cat", "dog"],
        ["1) cat", "B) dog"], ["A)", "B)"], ["A. cat", "B. cat"], ["G.653", "G.655"], ["A.1", "B.2"],
        ["A - B", "B - A"], ["(1) cut (2) glue", "(1) glue (2) cut"], ["2) cat", "3) dog"],
    ],
)  # fmt: skip
def test_options_that_only_seem_to_carry_labels_stay_as_they_are(options, tmp_path):
    (one,) = load_rows([mmlu_row(choices=options, answer=0)], tmp_path).questions
    assert list(one.options) == options


def test_labels_out_of_order_and_numbers_of_ones_own_leave_a_key_open(tmp_path):
    assert "not A, B, C, ... in order" in reason(mmlu_row(choices=["B) x", "A) y"], answer="A"), tmp_path)
    numbered = mmlu_row(choices=["1) x", "2) y", "3) z"], answer=1)
    (skipped,) = load_rows([mmlu_row(question="W?", answer="A"), numbered], tmp_path).skipped
    assert "can be read in two ways: as number and as own number" in skipped["reason"]


# --- Selection -----------------------------------------------------------------------------------------------------


def many_questions(count):
    return [question(["x", "y"], question_id=f"question {number}") for number in range(count)]


def test_a_selection_is_nested_and_does_not_depend_on_the_order_of_the_file():
    questions = many_questions(200)
    shuffled = random.Random(1).sample(questions, k=200)
    for seed in (0, 42):
        ranked = select_questions(questions, 0, seed)
        assert sorted(ranked, key=lambda one: one.question_id) == sorted(questions, key=lambda one: one.question_id)
        assert all(select_questions(shuffled, count, seed) == ranked[:count] for count in (1, 10, 199, 200, 1000))


def test_a_selection_depends_on_the_seed_and_stays_what_it_was():
    questions = many_questions(200)
    assert select_questions(questions, 20, 0) != select_questions(questions, 20, 1)
    # Recorded: another choice would make every earlier run incomparable.
    chosen = [one.question_id for one in select_questions(questions, 3, 42)]
    assert chosen == ["question 170", "question 61", "question 168"]


def test_a_fingerprint_follows_the_content_and_not_the_order():
    questions = many_questions(5)
    assert fingerprint(questions) == fingerprint(questions[::-1])
    assert fingerprint(questions) != fingerprint(questions[:4])
    assert fingerprint(questions) != fingerprint([*questions[:4], question(["y", "x"], question_id="question 4")])
    assert fingerprint([question(["x", "y"], 0)]) != fingerprint([question(["x", "y"], 1)])


# --- Permutations --------------------------------------------------------------------------------------------------


def orders(options, n_permutations, seed=42):
    return [permuted(question(options), number, seed).option_order for number in range(n_permutations)]


def test_a_permutation_shows_the_same_options_and_the_same_key():
    original = question(["w", "x", "y", "z", "None of the above"], correct_option=2)
    for number in range(24):
        shown = permuted(original, number, 7)
        assert shown.options == tuple(original.options[index] for index in shown.option_order)
        assert shown.options[shown.correct_option] == "y"
        assert shown.options[4] == "None of the above"


def test_permutation_0_is_the_order_as_given_and_every_order_comes_once_before_any_comes_again():
    assert orders("wxyz", 1) == [(0, 1, 2, 3)]
    assert sorted(orders("wxyz", 24)) == sorted(itertools.permutations(range(4)))
    assert orders("wxyz", 48)[24:] == orders("wxyz", 24)
    assert orders("xy", 4) == [(0, 1), (1, 0), (0, 1), (1, 0)]
    assert len(set(orders("abcdefghijklmnopqrstuvwxyz", 30))) == 30


def test_orders_depend_on_the_seed_and_the_question_and_stay_what_they_were():
    assert orders("vwxyz", 5, seed=1) != orders("vwxyz", 5, seed=2)
    other = question("vwxyz", question_id="other")
    assert orders("vwxyz", 5) != [permuted(other, number, 42).option_order for number in range(5)]
    assert orders("vwxyz", 4) == [(0, 1, 2, 3, 4), (0, 1, 2, 4, 3), (2, 0, 4, 1, 3), (4, 1, 0, 3, 2)]


def test_over_many_questions_each_permutation_puts_the_key_everywhere_equally_often():
    questions = [question("vwxyz", correct_option=1, question_id=str(number)) for number in range(5000)]
    for number in (1, 4):
        places = Counter(permuted(one, number, 0).correct_option for one in questions)
        # 5,000 draws at 1/5: a standard deviation of 28; each place is at most 5 of them away.
        assert all(abs(places[place] - 1000) < 140 for place in range(5))


@pytest.mark.parametrize(
    "option",
    [
        "All of the above",
        "None of the above.",
        "none of the above techniques",
        "All the above are true",
        "None of these",
        "All of them",
        "None of the other options",
        "All are correct",
        "Two or more of the above",
        "It is true for all of the above",
        "Both",
        "Both uplink and downlink",
        "Neither approach",
        "None",
        "All these choices are correct",
        "All of these answers",
        "None of the others",
        "No option is correct",
        "None of these choices",
        "All options",
        "Any of these",
        "All correct",
        "Everything above",
        "All apply",
        "Alle oben genannten",
        "Keine der Antworten ist richtig",
        "Toutes les réponses ci-dessus",
        "Aucune de ces réponses",
        "Todas las anteriores",
        "Ninguna de las anteriores",
        "Todas as alternativas",
        "Nenhuma das anteriores",
        "Tutte le precedenti",
        "Все вышеперечисленное",
        "Ничего из перечисленного",
        "Wszystkie powyższe",
        "以上都是",
        "以上皆非",
        "上記のすべて",
        "いずれも正しくない",
        "위의 모두",
        "جميع ما سبق",
        "उपरोक्त सभी",
        "Geen van bovenstaande",
        "Alla ovanstående",
        "Hepsi",
        "Tất cả các đáp án trên",
        "כל התשובות נכונות",
    ],
)
def test_an_option_that_stands_for_others_keeps_its_place(option):
    shown = orders(["x", "y", "z", option], 6)
    assert {order[3] for order in shown} == {3}
    assert len(set(shown)) == 6


@pytest.mark.parametrize(
    "option",
    [
        "Both option 1 and option 2",
        "Neither option 1 nor option 2",
        "Both options 1 and 2.",
        "Both option 2 and 3",
        "Both 1 and 2",
        "A and C",
        "a & b",
        "(a) and (c)",
        "A, B, and C are correct",
        "1 and 3 only",
        "Only B",
        "All of the above except C",
        "Options 2 and 3",
        "Options one and two",
        "The same as option (b)",
        "The first two options",
        "Option 4 and, where the operator allows it, roaming",
        "Both A and B apply - harshest",
        "A and B are both valid",
        "A+B",
        "Same as A",
        "A & B",
        "A, B",
        "A and C are correct",
        "(A) and (C)",
        "（Ａ）和（Ｂ）",
        "ＡとＢ",
        "A和B",
        "A、B",
        "А и Б",
        "А и В верны",
        "Sowohl A als auch B",
        "A und B",
        "Weder A noch B",
        "A et B",
        "Ni A ni B",
        "A y C",
        "A e B",
        "ㄱ, ㄴ",
        "가와 나",
        "甲和乙",
        "アとイ",
        "①と②",
        "Α και Β",
        "أ و ب",
        "א ו-ב",
        "Both A and B",
        "Neither A nor B",
        "A is correct",
        "Only A is secure",
        "A but not B",
        "Identical to B",
        "The same as A",
        "It is both A and B",
        "Either A or B",
        "All but C",
        "Not A",
        "A or B, depending on the load",
        "Everything except D",
        "A/B",
    ],
)
def test_a_question_with_an_option_that_cites_others_is_shown_as_given_only(option):
    assert set(orders(["w", "x", "y", "z", option], 10)) == {(0, 1, 2, 3, 4)}


@pytest.mark.parametrize(
    "option",
    [
        "a and b differ by a multiple of m",
        "Core ML",
        "1,500,000 devices",
        "1",
        "A",
        "1/2",
        "2.4 and 5 GHz",
        "Layers 1 and 2",
        "I and V",
        "-1 or 1",
        "A/D converter",
        "C&C data",
        "All devices in the cell",
        "None of the signal power",
        "Above 6 GHz",
        "The answer to a request",
        "An option a user may choose",
        "Two observables of which one of them changes",
        "Deployment option 7",
        "a is equal to b",
        "2 to 5",
        "CDL-A and CDL-B",
        "Class A, Class B, and Class C",
        "A device and a network",
        "Все устройства",
        "Все пользователи сети",
        "Tous les utilisateurs",
        "Todos los usuarios",
        "Alle Geräte",
        "全部流量",
        "都市",
        "もの",
        "B-frames and P-frames",
        "Vitamin A and vitamin D",
        "Only A-type frames",
        "A cell with two carriers",
        "Equal to D times two",
        "Hepatitis A",
        "C++",
        "Tất cả thiết bị",
        "所有用户",
        "모두의 이익",
        "e é o primeiro",
    ],
)
def test_an_option_that_only_looks_like_a_citation_is_moved_like_any_other(option):
    assert len({order.index(1) for order in orders(["x", option, "y", "z", "v"], 30)}) == 5


@pytest.mark.parametrize(
    "text",
    [
        "Which? A) dog B) cat",
        "Which of these:\n(a) dog\n(b) cat",
        "Which: A. dog B. cat",
        "Which? 1. cat 2. dog 3. cow",
    ],
)
def test_a_question_that_lists_its_options_itself_is_shown_as_given_only(text):
    one = Question("q", text, ("cat", "dog", "cow"), 0, None)
    assert {permuted(one, number, 42).option_order for number in range(6)} == {(0, 1, 2)}
    other = Question("q", "Which has 2 legs, a cat or a dog (or a cow)?", ("cat", "dog", "cow"), 0, None)
    assert len({permuted(other, number, 42).option_order for number in range(6)}) == 6


def test_bare_letters_are_shown_as_given_only():
    assert len(set(orders(["A", "B", "C", "D"], 6))) == 1


def test_options_on_both_sides_of_one_that_speaks_of_those_above_never_cross_it():
    assert len(set(orders(["x", "y", "All of the above", "z"], 6))) == 1
    assert len(set(orders(["x", "y", "All of the above", "None of the above"], 2))) == 2


# --- The real file -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def teleqna(tmp_path_factory):
    if not TELEQNA_ZIP.exists():
        pytest.skip("needs the real questions in ../shared/data/TeleQnA.zip")
    pyzipper = pytest.importorskip("pyzipper", reason="needs pyzipper to unpack the real questions")
    folder = tmp_path_factory.mktemp("teleqna")
    with pyzipper.AESZipFile(TELEQNA_ZIP) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("TeleQnA.txt")]
        path = folder / "TeleQnA.txt"
        path.write_bytes(archive.read(name, pwd=b"teleqnadataset"))
    return load(path)


def test_every_real_question_loads_or_is_accounted_for(teleqna):
    assert len(teleqna.questions) == 9996
    assert Counter(row["reason"] for row in teleqna.skipped) == {
        "another option has the same text as the correct one": 3,
        "two statements of the key disagree: answer and text of its answer": 1,
    }
    assert "question 6783" in [row["row"] for row in teleqna.skipped]
    notes = Counter(" ".join(row["note"].split()[:4]) for row in teleqna.notes)
    assert notes == {"the text of its": 4, "two wrong options have": 14, "same question and options": 3}
    assert len({one.category for one in teleqna.questions}) == 5


def test_which_real_questions_are_not_permuted_and_which_options_keep_their_place(teleqna):
    as_given, kept = 0, Counter()
    for one in teleqna.questions:
        shown = [permuted(one, number, 42).option_order for number in range(5)]
        as_given += len(set(shown)) == 1
        if len(set(shown)) > 1 and "All of the above" in one.options:
            place = one.options.index("All of the above")
            kept[all(order[place] == place for order in shown)] += 1
    assert as_given == 40  # 36 cite options, 3 have one behind "... above", 1 has one to move
    assert set(kept) == {True}
    assert kept[True] > 700


def test_two_numbers_too_large_may_be_slips_in_a_small_file_and_three_are_not(tmp_path):
    question_set = load_rows(keyed_rows([0, 1, 2, 3] * 4 + [4, 4]), tmp_path)
    assert (len(question_set.questions), len(question_set.skipped)) == (16, 2)
    path = tmp_path / "three.json"
    path.write_text(json.dumps(keyed_rows([0, 1, 2, 3] * 4 + [4, 4, 4])))
    assert "from 0 in some rows and from 1 in others (3 of 19 rows" in refusal(path)


@pytest.mark.parametrize(("n_letters", "is_settled"), [(19, True), (18, False)])
def test_one_contrary_key_of_twenty_leaves_the_way_of_reading_settled(n_letters, is_settled, tmp_path):
    letters, text = keyed_rows(["C", "D"] * 10)[:n_letters], keyed_rows(["five"], ["four", "five", "six"])
    open_row = mmlu_row(question="Which group?", choices=["A", "AB", "B", "O"], answer="B")
    question_set = load_rows([*letters, *text, open_row], tmp_path)
    read = [one.correct_option for one in question_set.questions if one.question == "Which group?"]
    assert read == ([1] if is_settled else [])
    assert len(question_set.skipped) == (0 if is_settled else 1)
