"""The real script through its real command line, on a tiny model."""
import errno
import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from readings_and_records import assert_same_records
from tiny_models import TEMPLATES, make_tokenizer, save_tiny_architecture, save_tiny_model
from transformers import Qwen2Config, Qwen2ForCausalLM
from whole_runs import SCRIPT, records_by_key, run_folder, with_flag

import hugging_face_model
import run_experiment
from basics.strict_json import sha256_of
from evaluation_tool import CONFIDENCE_NAMES, answer_request, confidence_request, summarise
from hugging_face_model import HuggingFaceModel
from questions.option_orders import Unit, permuted
from questions.question_sets import Question, select_questions
from report.redraw import pages_of
from runs import identity, stop_signals
from runs.budgets import make_cells
from runs.check import check_results, run_problems
from runs.journal import read_records
from runs.results_folder import SCHEMA_VERSION, SUMMARY_FIELDS
from scoring.record_schema import RECORD_FIELDS
from thinking.sampling import Sampling, choose_tokens, uniforms

pytestmark = pytest.mark.usefixtures("no_figures")  # where they are the subject, a real process draws them


STOPS = [
    (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGUSR2, 140), (signal.SIGUSR1, 138),
]  # fmt: skip


def test_a_run_leaves_every_record_with_every_field_its_figures_and_its_report(arguments):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=300, cwd=SCRIPT.parent,
        env=os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},  # as a notebook's cell has it
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder = run_folder(arguments)
    assert f"Results: {folder}" in done.stdout
    assert "largest overshoot 0 tokens" in done.stdout
    assert "12 of 12 units, 100%, " in done.stderr
    assert "thinking tokens/s" in done.stderr
    assert "\r" not in done.stderr  # it is no terminal
    records = list(read_records(folder / "records.jsonl"))
    assert len(records) == 12
    assert all(list(record) == [one.name for one in RECORD_FIELDS] for record in records)
    assert len({record["question_id"] for record in records}) == 6
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert (summary["n_records"], summary["n_errors"], summary["largest_overshoot"]) == (12, 0, 0)
    assert summary["cells"][0]["confidences"].keys() == set(CONFIDENCE_NAMES)
    assert summary["run"]["settings"]["TOTAL_BUDGET"] == [20]
    assert summary["run"]["is_demo"] is False
    assert [process["seconds"] > 0 for process in summary["run"]["processes"]] == [True]
    drawn = {f"figures/{path.name}" for path in (folder / "figures").iterdir()}
    assert {*pages_of(folder)} == {*drawn, "report.html"}
    assert check_results([str(folder)], pages_of) == 0


def test_the_summary_is_a_function_of_the_records(finished):
    folder = run_folder(finished)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    del summary["run"]
    costs = run_experiment.WRONG_ANSWER_COSTS
    assert summarise(read_records(folder / "records.jsonl"), 0.05, 42, wrong_answer_costs=costs) == summary


def test_a_finished_run_computes_nothing_again(finished, capsys):
    written = (run_folder(finished) / "records.jsonl").read_bytes()
    assert run_experiment.main(finished) == 0
    assert "12 of 12 units are in" in capsys.readouterr().out
    assert (run_folder(finished) / "records.jsonl").read_bytes() == written


def test_a_torn_run_goes_on_where_it_was_with_another_batch_size(finished):
    journal = run_folder(finished) / "records.jsonl"
    whole = records_by_key(journal.parent)
    journal.write_bytes(journal.read_bytes()[:-700])
    assert run_experiment.main([*finished[:-1], "3"]) == 0
    config = json.loads((journal.parent / "config.json").read_text(encoding="utf-8"))
    assert [process["batch_size"] for process in config["processes"]] == [5, 3]
    resumed = records_by_key(journal.parent)
    assert resumed.keys() == whole.keys()
    for key, record in whole.items():
        assert_same_records(record, resumed[key])


def test_records_do_not_depend_on_how_many_questions_are_in_the_run(finished, tmp_path):
    few = records_by_key(run_folder(finished))
    more = [*finished, "--seed", "42"]
    more[more.index("--n-questions") + 1] = "0"
    more[more.index("--save-dir") + 1] = str(tmp_path / "all")
    assert run_experiment.main(more) == 0
    every = records_by_key(run_folder(more))
    assert len(every) == 24
    for key, record in few.items():
        assert_same_records(record, every[key])


def test_other_settings_are_another_folder_and_the_batch_size_is_not(finished):
    assert run_experiment.main([*finished, "--target-error", "0.2"]) == 0
    assert run_experiment.main([*finished[:-1], "2"]) == 0
    assert run_folder(finished)
    assert run_experiment.main([*finished, "--seed", "7"]) == 0
    assert len(list(Path(finished[5]).glob("*/config.json"))) == 2


@pytest.mark.parametrize("changed", ["weights", "template", "question", "prompts"])
def test_what_decides_the_records_decides_the_folder(finished, tmp_path, monkeypatch, changed):
    arguments, before = finished, run_folder(finished).name
    if changed == "weights":
        arguments[1] = str(save_tiny_model(tmp_path / "tiny_model0", initializer_range=0.2))
    elif changed == "template":
        arguments[1] = str(shutil.copytree(arguments[1], tmp_path / "tiny_model0"))
        template = Path(arguments[1], "chat_template.jinja")
        template.write_text(template.read_text(encoding="utf-8") + "{# another #}", encoding="utf-8")
    elif changed == "question":
        text = Path(arguments[3]).read_text(encoding="utf-8").replace("Which choice", "What choice")
        arguments[3] = str(tmp_path / "questions.json")
        Path(arguments[3]).write_text(text, encoding="utf-8")
    else:
        monkeypatch.setattr(identity, "prompts_identity", lambda: {"answer_prompt": "another"})
    arguments[5] = str(tmp_path / "other_results")
    assert run_experiment.main(arguments) == 0
    after = run_folder(arguments).name
    assert before.rsplit("_", 1)[0] == after.rsplit("_", 1)[0]
    assert before != after


class FakeEncoder:
    """Each of its parts of a run's identity can be set."""

    def __init__(self, frame="f", closing="c", tokenizer="t", model="m"):
        self.chat_frame, self.closing_texts = lambda: [[frame]], lambda: [closing]
        self.fingerprint, self.model_fingerprint = lambda: tokenizer, lambda: model


IDENTITY_SETTINGS = {
    "TEMPERATURE": 0.6, "TOP_P": 0.95, "TOP_K": 20, "SEED": 42, "N_QUESTIONS": 2, "N_PERMUTATIONS": 3,
    "N_THOUGHTS": 1,
    "BATCH_SIZE": 0, "TARGET_ERROR": 0.05, "CONFIDENCE": "confidence", "WRONG_ANSWER_COSTS": [1.0],
    "SMALLEST_DIFFERENCE": 0.0, "SAVE_DIR": "there", "model_name": "a name", "DATASET": "another name",
}  # fmt: skip
QUESTION = Question("q", "Why?", ("x", "y"), 0, None)


def identity_hash(
    settings=(), cells=(20, 0.5), question=QUESTION, encoder=None, dtype="float32", device="cpu", engine=None
):
    """Of a run with one part of it changed."""
    model = SimpleNamespace(identity=lambda: {"dtype": dtype, "device_type": device} | (engine or {}))
    cells = make_cells([cells[0]], [cells[1]])
    settings = IDENTITY_SETTINGS | dict(settings)
    return sha256_of(identity.run_identity(settings, cells, [question], encoder or FakeEncoder(), model))


OTHER_PARTS = {
    "temperature": {"settings": {"TEMPERATURE": 0.7}}, "top_p": {"settings": {"TOP_P": 0.9}},
    "top_k": {"settings": {"TOP_K": 21}}, "seed": {"settings": {"SEED": 43}},
    "n_questions": {"settings": {"N_QUESTIONS": 3}}, "n_permutations": {"settings": {"N_PERMUTATIONS": 4}},
    "n_thoughts": {"settings": {"N_THOUGHTS": 2}},
    "total budget": {"cells": (21, 0.5)}, "ratio": {"cells": (20, 0.6)},
    "question": {"question": replace(QUESTION, question="Why not?")},
    "option": {"question": replace(QUESTION, options=("x", "z"))},
    "key": {"question": replace(QUESTION, correct_option=1)},
    "question id": {"question": replace(QUESTION, question_id="q2")},
    "dtype": {"dtype": "bfloat16"}, "device type": {"device": "cuda"},
    "engine": {"engine": {"engine": {"name": "vllm"}}},
    "chat frame": {"encoder": FakeEncoder(frame="of another day")}, "closing": {"encoder": FakeEncoder(closing="x")},
    "tokenizer": {"encoder": FakeEncoder(tokenizer="x")}, "model": {"encoder": FakeEncoder(model="x")},
}  # fmt: skip


@pytest.mark.parametrize("part", OTHER_PARTS)
def test_each_part_of_the_identity_decides_the_hash(part):
    assert identity_hash(**OTHER_PARTS[part]) != identity_hash()


@pytest.mark.parametrize("part", ["SCHEMA_VERSION", "prompts_identity"])
def test_version_and_prompts_decide_the_hash(monkeypatch, part):
    before = identity_hash()
    monkeypatch.setattr(identity, part, {"SCHEMA_VERSION": -1, "prompts_identity": dict}[part])
    assert identity_hash() != before


@pytest.mark.parametrize("name", ["BATCH_SIZE", *SUMMARY_FIELDS, "SAVE_DIR", "model_name", "DATASET"])
def test_what_decides_no_record_is_not_hashed(name):
    assert identity_hash({name: "other"}) == identity_hash()


def test_the_rules_that_no_text_of_the_identity_shows_are_those_of_the_schema_version():
    """Whoever changes one of them makes other records of the same identity, and must raise SCHEMA_VERSION."""
    options = ("a", "b", "c", "d", "e")
    question = Question("q1", "Why?", options, 2, None)
    orders = [permuted(question, number, 42).option_order for number in range(4)]
    unit = Unit(question, 3, orders[3])
    keys = [answer_request(unit, (1,), 42).random_key, confidence_request(unit, 4, (1,), 42).random_key]
    drawn = uniforms(keys[0], 3)
    scores = torch.arange(8.0).mul(0.7).sin().repeat(3, 1)
    tokens, _ = choose_tokens(scores, torch.from_numpy(drawn), Sampling(0.6, 0.9, 5))
    nine = [replace(question, question_id=f"q{number}") for number in range(9)]
    assert SCHEMA_VERSION == 4
    assert orders == [(0, 1, 2, 3, 4), (3, 2, 1, 4, 0), (4, 3, 0, 1, 2), (2, 4, 3, 0, 1)]
    assert keys == ['[42,"q1",3,"answer",null]', '[42,"q1",3,"confidence",4]']
    assert answer_request(replace(unit, thought=2), (1,), 42).random_key == '[42,"q1",3,"answer",null,2]'
    assert drawn.tolist() == [0.030022953702312893, 0.3594576946712956, 0.7695887291657926]
    assert tokens.tolist() == [1, 2, 3]
    assert [one.question_id for one in select_questions(nine, 3, 42)] == ["q0", "q1", "q7"]


def test_another_target_error_on_a_finished_run_says_that_it_writes_the_summary_anew(finished, capsys):
    assert run_experiment.main(finished) == 0
    assert "TARGET_ERROR is" not in capsys.readouterr().out
    assert run_experiment.main([*finished, "--target-error", "0.2"]) == 0
    line = "TARGET_ERROR is 0.2, in the summary that is there it is 0.05: summary.json, figures and report.html are"
    assert line in capsys.readouterr().out
    summary = run_folder(finished) / "summary.json"
    assert json.loads(summary.read_text(encoding="utf-8"))["target_error"] == 0.2
    summary.write_text("{", encoding="utf-8")
    assert run_experiment.main([*finished, "--target-error", "0.2"]) == 0
    assert "TARGET_ERROR is" not in capsys.readouterr().out


def test_redraw_changes_the_settings_of_the_summary_and_nothing_of_the_records(finished, capsys):
    folder = run_folder(finished)
    records = (folder / "records.jsonl").read_bytes()
    changes = ["--confidence=p_true", "--wrong-answer-costs", "4", "99", "--smallest-difference", "0.1"]
    assert run_experiment.main(["--redraw", str(folder), *changes]) == 0
    assert f"{folder}: summary.json is made again, 0 figures and report.html are drawn again" in capsys.readouterr().out
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))["settings"]
    found = {name: summary[field] for name, field in SUMMARY_FIELDS.items()}
    assert found == {name: settings[name] for name in SUMMARY_FIELDS} == {
        "TARGET_ERROR": 0.05, "CONFIDENCE": "p_true", "WRONG_ANSWER_COSTS": [4.0, 99.0], "SMALLEST_DIFFERENCE": 0.1
    }  # fmt: skip
    assert [row["wrong_answer_cost"] for row in summary["cells"][0]["confidences"]["p_true"]["utilities"]] == [4, 99]
    assert summary["run"]["settings"] == settings
    assert (folder / "records.jsonl").read_bytes() == records
    assert [problem for problem in run_problems(folder)] == []
    assert run_experiment.main(finished) == 0
    line = "CONFIDENCE is confidence, in the summary that is there it is p_true; WRONG_ANSWER_COSTS is 1 9 19, in"
    assert line in capsys.readouterr().out
    assert run_folder(finished) == folder


def test_a_run_of_another_version_is_not_summarised_again(finished, capsys):
    folder = run_folder(finished)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["identity"]["schema_version"] = 3
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    summary = (folder / "summary.json").read_bytes()
    said = f"{folder}: another version of the program made it (schema version 3, this one reads {SCHEMA_VERSION})"
    other = shutil.copytree(folder, folder.with_name("other"))
    asked = (["--redraw", "--target-error", "0.2"], ["--cascade", str(other)], ["--compare", str(other)])
    for verb, *rest in asked:
        arguments = [verb, str(folder), *rest]
        assert run_experiment.main(arguments) == 2
        assert said in capsys.readouterr().err
    assert (folder / "summary.json").read_bytes() == summary


def test_redraw_takes_no_other_setting_and_refuses_a_run_that_is_not_finished(finished, capsys):
    folder = run_folder(finished)
    assert run_experiment.main(["--redraw", str(folder), "--seed", "1"]) == 2
    allowed = "--target-error, --confidence, --wrong-answer-costs, --smallest-difference (--seed 1)"
    assert f"--redraw reads folders of results and takes no other flag than {allowed}" in capsys.readouterr().err
    config = (folder / "config.json").read_bytes()
    (folder / "summary.json").unlink()
    assert run_experiment.main(["--redraw", str(folder), "--target-error", "0.2"]) == 2
    assert "summary.json: not found; name the folder of a finished run" in capsys.readouterr().err
    assert (folder / "config.json").read_bytes() == config


@pytest.mark.parametrize(
    ("model_name", "dataset", "is_demo"),
    [
        ("demo/model", "demo/questions.jsonl", True),
        ("./demo/../demo/model/", "demo/questions.jsonl", True),
        ("demo/model", "questions.jsonl", False),
        ("someone/model", "demo/questions.jsonl", False),
    ],
)
def test_the_demo_is_known_however_its_paths_are_written(monkeypatch, model_name, dataset, is_demo):
    monkeypatch.chdir(run_experiment.HERE)
    settings = {"model_name": model_name, "DATASET": dataset}
    assert run_experiment.is_demo(settings) is is_demo


def test_budget_zero_runs_a_model_that_cannot_think(arguments, tmp_path):
    arguments[1] = str(save_tiny_model(tmp_path / "conventional", "never_thinks"))
    arguments[arguments.index("--total-budget") + 1] = "0"
    assert run_experiment.main(arguments) == 0
    for record in read_records(run_folder(arguments) / "records.jsonl"):
        assert record["answer_thinking_ratio"] is None
        assert (record["answer_stopped"], record["confidence_stopped"]) == ("none", "none")
        assert record["answer_probability"] is not None
        assert record["confidence"] is not None


def test_the_conventional_arm_runs_beside_the_grid_unless_switched_off(arguments, capsys):
    at = arguments.index("--conventional-arm")
    with_arm = [*arguments[:at], *arguments[at + 2 :]]
    assert run_experiment.main(with_arm) == 0
    shown = capsys.readouterr().out
    summary = json.loads((run_folder(arguments) / "summary.json").read_text(encoding="utf-8"))
    cells = [(cell["total_budget"], cell["answer_thinking_ratio"], cell["n_records"]) for cell in summary["cells"]]
    assert cells == [(0, None, 12), (20, 0.5, 12)]
    assert summary["comparisons"]["conventional"]["answer"] in " ".join(shown.split())
    for record in read_records(run_folder(arguments) / "records.jsonl"):
        if record["total_budget"] == 0:
            assert (record["answer_thinking_ids"], record["confidence_thinking_ids"]) == ([], [])


def test_a_sweep_equals_its_cells_run_alone_through_the_command_line(arguments, tmp_path):
    sweep = [*arguments, "--answer-thinking-ratio", "0", "0.3", "1"]
    sweep[sweep.index("--total-budget") : sweep.index("--total-budget") + 2] = ["--total-budget", "12", "30"]
    assert run_experiment.main(sweep) == 0
    swept = records_by_key(run_folder(sweep))
    assert len(swept) == 12 * 6
    for number, (budget, ratio) in enumerate([("12", "0.3"), ("30", "0"), ("30", "1")]):
        alone = with_flag(with_flag(sweep, "--save-dir", str(tmp_path / str(number))), "--batch-size", "2")
        at = alone.index("--total-budget")
        alone = [*alone[:at], "--total-budget", budget, *alone[at + 3 :]]
        alone = [*alone[: alone.index("--answer-thinking-ratio")], "--answer-thinking-ratio", ratio]
        assert run_experiment.main(alone) == 0
        records = records_by_key(run_folder(alone))
        assert len(records) == 12
        for key, record in records.items():
            assert_same_records(record, swept[key])


def test_a_qwen2_chat_model_runs_alone_with_budget_zero(arguments, tmp_path):
    """The published conventional model is a Qwen2: another architecture, a template with a system turn of its own."""
    system_turn = "{{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}"
    tokenizer = make_tokenizer(system_turn + TEMPLATES["never_thinks"], tags=())
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer) + 20, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=4096, sliding_window=4096,
        use_sliding_window=False, max_window_layers=2,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(tmp_path / "qwen2")
    tokenizer.save_pretrained(tmp_path / "qwen2")
    arguments[1] = str(tmp_path / "qwen2")
    arguments[arguments.index("--total-budget") + 1] = "0"
    assert run_experiment.main(arguments) == 0
    records = list(read_records(run_folder(arguments) / "records.jsonl"))
    assert len(records) == 12
    assert all(record["error"] is None and record["total_budget"] == 0 for record in records)


@pytest.mark.parametrize(
    ("model_type", "kind"),
    [
        ("gpt2", {}), ("gpt_neox", {}), ("opt", {}), ("falcon", {"multi_query": True}),
        ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2}), ("gpt_bigcode", {"multi_query": True}),
    ],
)  # fmt: skip
def test_architectures_that_name_their_sizes_otherwise_run_to_the_end(arguments, tmp_path, model_type, kind):
    arguments[1] = str(save_tiny_architecture(tmp_path / "model", model_type, "never_thinks", **kind))
    arguments = with_flag(with_flag(arguments, "--total-budget", "0"), "--n-questions", "2")
    assert run_experiment.main(arguments) == 0
    records = list(read_records(run_folder(arguments) / "records.jsonl"))
    assert [record["error"] for record in records] == [None] * 4
    assert {round(sum(record["answer_probabilities"]), 6) for record in records} == {1}


def test_weights_in_another_number_format_are_another_run(arguments):
    names, save_dir = {}, arguments[arguments.index("--save-dir") + 1]
    for dtype in ("auto", "float32", "bfloat16"):
        asked = with_flag([*arguments, "--dtype", dtype], "--save-dir", save_dir + dtype)
        asked = with_flag(with_flag(asked, "--total-budget", "0"), "--n-questions", "2")
        assert run_experiment.main(asked) == 0
        config = json.loads((run_folder(asked) / "config.json").read_text(encoding="utf-8"))
        names[dtype] = run_folder(asked).name, config["identity"]["dtype"], config["settings"]["DTYPE"]
    assert names["auto"][:2] == names["float32"][:2]  # the files are in float32
    assert names["bfloat16"] == (names["bfloat16"][0], "bfloat16", "bfloat16")
    assert names["bfloat16"][0] != names["float32"][0]


def test_one_question_too_long_for_the_model_is_skipped_with_its_reason(arguments, tmp_path, capsys):
    rows = [{"id": f"q{n}", "question": f"Why {n}?", "choices": ["x", "y"], "answer": n % 2} for n in range(3)]
    rows[1]["question"] = "Why? " * 2000
    path = tmp_path / "long.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    arguments = with_flag(with_flag(arguments, "--dataset", str(path)), "--n-questions", "0")
    assert run_experiment.main(arguments) == 0
    folder = run_folder(arguments)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))["questions"]
    (skipped,) = config["skipped"]
    assert (config["loaded"], config["used"], config["n_skipped"], skipped["row"]) == (3, 2, 1, "q1")
    reason = r"prompt, thinking budget and read-outs need \d\d,\d+ tokens, the model's context holds 4,096"
    assert re.fullmatch(reason, skipped["reason"])
    said = capsys.readouterr().out
    assert f"Skipping 1 of 3 questions, listed in config.json; question 'q1': {skipped['reason']}\n" in said
    assert "Questions: 2 of 3 in 3 rows. Rows skipped: 1 (config.json lists them)." in said
    assert {key[:2] for key in records_by_key(folder)} == {("q0", 0), ("q0", 1), ("q2", 0), ("q2", 1)}
    assert list(run_problems(folder)) == []
    written = (folder / "records.jsonl").read_bytes()
    assert run_experiment.main(arguments) == 0  # the same folder, finished
    assert (run_folder(arguments) / "records.jsonl").read_bytes() == written


# --- faults: what was computed stays, one line says what went wrong ---------------------------------------------------


class SickModel(HuggingFaceModel):
    """Gives logits that are not finite in one stage of the questions whose number is in `sick`.

    most: prompts that fit into memory. sends: the signal that comes in the first batch.
    """

    sick, stage, most, sends = (), "answer", 10**9, None

    def read_thoughts(self, requests):
        if len(requests) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has 1 GiB free. See ...")
        if self.sends:
            os.kill(os.getpid(), self.sends)
            type(self).sends = None
        readings = super().read_thoughts(requests)
        for index, request in enumerate(requests):
            is_stage = ("answer" in request.readouts) == (self.stage == "answer")
            if is_stage and any(f"number {number}?" in request.user_text for number in self.sick):
                missing = dict.fromkeys(request.readouts)
                readings[index] = [replace(one, readouts=missing, error="logits not finite") for one in readings[index]]
        return readings


@pytest.fixture
def sick_model(monkeypatch):
    monkeypatch.setattr(hugging_face_model, "HuggingFaceModel", SickModel)
    return SickModel


@pytest.fixture
def two_hundred(arguments, tmp_path):
    """Arguments of a run of 200 records: 200 questions in one cell without thinking."""
    rows = [{"id": f"q{n}", "question": f"Why number {n}?", "choices": ["x", "y"], "answer": n % 2} for n in range(200)]
    path = tmp_path / "two_hundred.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    changed = with_flag(with_flag(arguments, "--dataset", str(path)), "--total-budget", "0")
    changed = with_flag(with_flag(changed, "--n-questions", "0"), "--n-permutations", "1")
    return with_flag(changed, "--batch-size", "16")


@pytest.mark.parametrize("stage", ["answer", "confidence"])
def test_one_broken_record_of_200_is_counted_shown_and_not_scored(two_hundred, sick_model, capsys, monkeypatch, stage):
    monkeypatch.setattr(sick_model, "sick", (7,))
    monkeypatch.setattr(sick_model, "stage", stage)
    assert run_experiment.main(two_hundred) == 0
    assert "Records: 200, with errors: 1, without a verbalised confidence: 1." in capsys.readouterr().out
    folder = run_folder(two_hundred)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert (summary["n_records"], summary["n_errors"]) == (200, 1)
    assert summary["cells"][0]["per_permutation"][0]["n"] == 199
    assert [summary["cells"][0]["confidences"][name]["n"] for name in CONFIDENCE_NAMES] == [199] * 4
    (broken,) = [record for record in records_by_key(folder).values() if record["error"]]
    assert broken["question_id"] == "q7"
    assert broken["error"] == f"{stage} stage: logits not finite"
    assert (broken["confidence"], broken["p_true"]) == (None, None)
    assert (broken["predicted_option"] is None) == (stage == "answer")
    assert list(run_problems(folder)) == []


def test_more_than_one_percent_of_broken_records_ends_the_run_and_every_later_one(
    two_hundred, sick_model, capsys, monkeypatch
):
    monkeypatch.setattr(sick_model, "sick", tuple(range(0, 200, 20)))
    assert run_experiment.main(two_hundred) == 2
    line = capsys.readouterr().err.strip().split("\n")[-1]
    assert "of the run's 200 records carry an error (logits that are not finite), more than 1%" in line
    folder = run_folder(two_hundred)
    on_disk = (folder / "records.jsonl").read_bytes()
    assert 3 <= sum(record["error"] is not None for record in records_by_key(folder).values()) <= 10
    assert not (folder / "summary.json").exists()
    monkeypatch.setattr(sick_model, "sick", ())
    assert run_experiment.main(two_hundred) == 2
    assert "more than 1%" in capsys.readouterr().err
    assert (folder / "records.jsonl").read_bytes() == on_disk


def test_a_single_broken_question_does_not_end_a_small_run(arguments, sick_model, monkeypatch):
    monkeypatch.setattr(sick_model, "sick", (0,))
    arguments = with_flag(with_flag(arguments, "--n-questions", "0"), "--n-permutations", "1")
    assert run_experiment.main(arguments) == 0
    assert sum(record["error"] is not None for record in records_by_key(run_folder(arguments)).values()) == 1


def test_out_of_memory_halves_the_batch_and_config_says_so(arguments, sick_model, monkeypatch, capsys):
    monkeypatch.setattr(sick_model, "most", 2)
    assert run_experiment.main(arguments) == 0
    assert "Out of memory; going on with 3 prompts" in capsys.readouterr().err
    config = json.loads((run_folder(arguments) / "config.json").read_text(encoding="utf-8"))
    assert config["processes"][0]["batch_size"] == 2
    assert len(records_by_key(run_folder(arguments))) == 12


def test_a_prompt_that_does_not_fit_alone_is_named_with_its_length_and_the_memory(
    arguments, sick_model, monkeypatch, capsys
):
    monkeypatch.setattr(sick_model, "most", 0)
    assert run_experiment.main(arguments) == 2
    line = capsys.readouterr().err.strip().split("\n")[-1]
    assert re.search(r"question 'question \d+': out of memory with one prompt at a time; .* are \d+ tokens", line)
    assert "(CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has 1 GiB free)" in line


def test_a_full_disk_is_one_line_and_the_run_goes_on_once_there_is_room(finished, tmp_path, capsys):
    """RLIMIT_FSIZE stands for the full disk: writes past the limit fail in the same place."""
    config, journal = [(run_folder(finished) / name).stat().st_size for name in ("config.json", "records.jsonl")]
    room = (config + journal) // 2  # the journal is the first file that does not fit
    assert config < room < journal
    arguments = with_flag(with_flag(finished, "--batch-size", "1"), "--save-dir", str(tmp_path / "full"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        status = run_experiment.main(arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert status == 2
    last = capsys.readouterr().err.strip().split("\n")[-1]
    assert "records.jsonl: cannot be written (File too large); what was computed before is kept" in last
    kept = records_by_key(run_folder(arguments))
    assert 0 < len(kept) < 12
    assert run_experiment.main(arguments) == 0
    resumed = records_by_key(run_folder(arguments))
    assert len(resumed) == 12
    assert all(resumed[key] == record for key, record in kept.items())


def test_a_changed_data_file_does_not_leave_an_unfinished_run_behind(arguments, tmp_path, capsys):
    path = Path(shutil.copy(arguments[3], tmp_path / "questions.json"))
    arguments = with_flag(arguments, "--dataset", str(path))
    assert run_experiment.main(arguments) == 0
    folder = run_folder(arguments)
    path.write_text(path.read_text(encoding="utf-8").replace("Which choice", "What choice"), encoding="utf-8")
    (folder / "summary.json").unlink()
    line = refusal(arguments, capsys)
    assert f"DATASET = {str(path)!r}: the content (questions) is not what the unfinished run {folder} began" in line
    assert len(list(folder.parent.glob("*/config.json"))) == 1


def test_a_template_that_prints_the_time_does_not_mix_two_prompts_in_one_folder(arguments, tmp_path, capsys):
    arguments[1] = str(shutil.copytree(arguments[1], tmp_path / "tiny_model0"))
    template = Path(arguments[1], "chat_template.jinja")
    template.write_text("{{- strftime_now('%H%M%S%f') }}" + template.read_text(encoding="utf-8"), encoding="utf-8")
    assert run_experiment.main(arguments) == 0
    folder = run_folder(arguments)
    (folder / "summary.json").unlink()
    line = refusal(arguments, capsys)
    assert f"the content (chat_frame) is not what the unfinished run {folder} began with" in line


def test_sigterm_ends_the_run_after_its_batch_and_the_run_goes_on(arguments):
    arguments = with_flag(with_flag(arguments, "--batch-size", "1"), "--total-budget", "200")
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    wait_for_records(process, Path(arguments[5]))
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 143
    last = errors.strip().split("\n")[-1]
    assert last == "run_experiment.py: stopped by SIGTERM; the same command goes on where it was"
    assert "Traceback" not in errors
    kept = records_by_key(run_folder(arguments))
    assert 0 < len(kept) < 12
    assert run_experiment.main(arguments) == 0
    assert len(records_by_key(run_folder(arguments))) == 12


@pytest.fixture
def listening(monkeypatch):
    """This process answers signals as the program does, until the test has ended."""
    before = {signum: signal.getsignal(signum) for signum, _ in STOPS}
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(stop_signals, "_received", None)
    monkeypatch.setattr(stop_signals, "_received_at", 0.0)
    stop_signals.listen()
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.mark.parametrize(("signum", "status"), STOPS)
def test_a_batch_in_which_a_signal_comes_is_kept(arguments, sick_model, listening, monkeypatch, capsys, signum, status):
    monkeypatch.setattr(sick_model, "sends", signum)
    assert run_experiment.main(arguments) == status
    last = capsys.readouterr().err.strip().split("\n")[-1]
    assert last == f"run_experiment.py: stopped by {signum.name}; the same command goes on where it was"
    assert len(records_by_key(run_folder(arguments))) == 5  # one batch, whole


def test_a_signal_ends_a_dry_run_at_once(arguments, sick_model, listening, monkeypatch, capsys):
    monkeypatch.setattr(sick_model, "sends", signal.SIGTERM)
    assert run_experiment.main([*arguments, "--dry-run"]) == 143
    lines = capsys.readouterr().err.strip().split("\n")
    assert lines[-1] == "run_experiment.py: stopped by SIGTERM; nothing is kept of a dry run"
    assert not any("ending after" in line for line in lines)
    monkeypatch.setattr(stop_signals, "_received", None)
    assert run_experiment.main(arguments) == 143  # a run after it keeps its batch, as ever
    assert len(records_by_key(run_folder(arguments))) == 5


@pytest.mark.parametrize("words", [
    "--check {}", "--redraw {}", "--compare {} {}", "--cascade {} {}", "--look {}", "--demo --dataset {}",
    "--demo --model-name {}",
])  # fmt: skip
def test_a_folder_that_nobody_may_look_into_is_one_line(words, no_entry, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    locked = no_entry(tmp_path / "locked")
    status = run_experiment.main(words.format(locked, locked).split())
    printed = "".join(capsys.readouterr())
    assert status == (1 if "--check" in words else 2)
    assert printed.count("Permission denied") == 1


def test_what_nobody_reads_to_the_end_is_in_the_index(arguments, monkeypatch, capsys):
    def broken(summary):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    monkeypatch.setattr(run_experiment, "results_table", broken)
    assert run_experiment.main(arguments) == 2
    index = (run_folder(arguments).parent / "index.html").read_text(encoding="utf-8")
    assert "1 run, " in index and "finished" in index


@pytest.mark.parametrize(("signum", "status"), STOPS)
def test_a_signal_while_modules_are_imported_is_one_line_too(signum, status):
    """The signal comes from the process itself, at an import after the handlers are there."""
    script = (
        "import os, runpy, sys; sys.argv = sys.argv[1:]\n"
        "class Signalling:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == 'demo.ideal': os.kill(os.getpid(), {int(signum)})\n"
        "sys.meta_path.insert(0, Signalling())\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(SCRIPT)], capture_output=True, text=True, timeout=300, cwd=SCRIPT.parent
    )
    assert done.returncode == status
    assert done.stderr == f"run_experiment.py: stopped by {signum.name}; the same command goes on where it was\n"


def wait_for_records(process, folder):
    while process.poll() is None and not any(path.stat().st_size for path in folder.glob("*/records.jsonl")):
        time.sleep(0.01)


def test_under_nohup_a_run_outlives_its_terminal(arguments):
    process = subprocess.Popen(
        ["nohup", sys.executable, str(SCRIPT), *with_flag(arguments, "--batch-size", "1")],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for_records(process, Path(arguments[5]))
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert len(records_by_key(run_folder(arguments))) == 12


def test_a_terminal_that_is_gone_ends_the_run_after_its_batch(arguments):
    """The kernel sends SIGHUP, and every later word of the run has nowhere to go."""
    ours, theirs = pty.openpty()
    script = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(2, termios.TIOCSCTTY, 0); "
    script += "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    arguments = with_flag(with_flag(arguments, "--batch-size", "1"), "--total-budget", "200")
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(SCRIPT), *arguments], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    wait_for_records(process, Path(arguments[5]))
    os.close(ours)
    assert process.wait(timeout=300) == 129
    assert 0 < len(records_by_key(run_folder(arguments))) < 12


def test_a_second_ctrl_c_ends_at_once(arguments):
    arguments = with_flag(with_flag(arguments, "--batch-size", "12"), "--total-budget", "3000")
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    while process.poll() is None and not list(Path(arguments[5]).glob("*/records.jsonl")):
        time.sleep(0.01)
    time.sleep(0.5)  # into the batch, which takes a minute
    process.send_signal(signal.SIGINT)
    while "SIGINT" not in (line := process.stderr.readline()):
        assert line, "it ended without a word"
    assert line == "SIGINT: ending after the batch in progress; Ctrl-C ends at once\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)
    assert process.returncode == 130
    assert (run_folder(arguments) / "records.jsonl").read_bytes() == b""


def test_names_that_the_terminal_cannot_write_do_not_end_a_run(arguments, tmp_path):
    questions = shutil.copy(arguments[3], tmp_path / "frägen 日本.json")
    arguments = with_flag(with_flag(arguments, "--dataset", str(questions)), "--save-dir", str(tmp_path / "größe"))
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True, timeout=300, env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert "fr\\xe4gen \\u65e5\\u672c.json" in done.stdout.decode("ascii")


def test_help_needs_no_package_and_so_no_time():
    done = subprocess.run(
        [sys.executable, "-S", str(SCRIPT), "--help"],  # -S: without site-packages
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "--answer-thinking-ratio" in done.stdout


def test_a_python_without_the_packages_is_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-S", str(SCRIPT), "--demo", "--save-dir", str(tmp_path)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    assert re.fullmatch(
        r"run_experiment\.py: the package '\w+' is not installed; this is \S+: start the program with `make demo` or"
        r" `make run`, which install what is missing, or run `pip install -r requirements.txt`\n",
        done.stderr,
    )


def test_a_package_that_is_missing_once_the_run_has_begun_is_one_line(arguments, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "thinking.libraries")  # the first of a run that needs it
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "the package 'torch' is not installed" in refusal(arguments, capsys)


def test_check_is_a_flag_of_its_own(finished, capsys):
    assert run_experiment.main(["--check", finished[5]]) == 0
    assert "complete and consistent" in capsys.readouterr().out
    assert run_experiment.main(["--check", finished[5], "--seed", "1"]) == 2
    assert "--check reads folders of results and takes no other flag (--seed 1)" in capsys.readouterr().err
    (run_folder(finished) / "summary.json").unlink()
    assert run_experiment.main(["--check", finished[5]]) == 1


# --- bad input: one line, exit status 2, no traceback ---------------------------------------------------------------


def refusal(arguments, capsys):
    """The one line on stderr of a run that is refused before any result is written; an example may stand below it."""
    capsys.readouterr()
    assert run_experiment.main(arguments) == 2
    lines = [line for line in capsys.readouterr().err.strip().split("\n") if not line.startswith("    ")]
    assert len(lines) == 1
    assert lines[0].startswith("run_experiment.py: ")
    return lines[0]


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--no-such-flag", "1", ["--no-such-flag"]),
        ("--answer-thinking-ratio", "1.5", ["--answer-thinking-ratio 1.5", "0.0 to 1.0"]),
        ("--total-budget", "-1", ["--total-budget -1", "0 to 1,000,000"]),
        ("--total-budget", "12.5", ["--total-budget 12.5", "whole"]),
        ("--n-questions", "-3", ["--n-questions -3", "0 or more"]),
        ("--dataset", "./missing.json", ["DATASET", "./missing.json"]),
        ("--model-name", "./missing", ["model_name", "./missing", "no such folder"]),
        ("--total-budget", "100000", ["question ", "context", "4,096"]),
    ],
)
def test_a_wrong_setting_is_refused(arguments, capsys, flag, value, words):
    line = refusal(with_flag(arguments, flag, value), capsys)
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["empty"]),
        ('{"a": 1}', ["unknown shape", "fields found", "a"]),
        ("{", ["broken JSON in line 1"]),
        ('[{"question": "Why?", "choices": ["one"], "answer": 0}]', ["1 options"]),
    ],
)
def test_a_useless_question_file_is_refused(arguments, capsys, tmp_path, content, words):
    path = tmp_path / "questions.json"
    path.write_text(content, encoding="utf-8")
    line = refusal(with_flag(arguments, "--dataset", str(path)), capsys)
    for word in [str(path), *words]:
        assert word in line


def test_a_folder_without_a_model_is_refused(arguments, capsys, tmp_path):
    assert "no config.json" in refusal(with_flag(arguments, "--model-name", str(tmp_path)), capsys)


def test_a_budget_for_a_model_that_cannot_think_is_refused(arguments, capsys, tmp_path):
    folder = save_tiny_model(tmp_path / "conventional", "never_thinks")
    assert "TOTAL_BUDGET = 0" in refusal(with_flag(arguments, "--model-name", str(folder)), capsys)


def test_a_save_dir_that_cannot_be_written_is_refused(arguments, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert "SAVE_DIR" in refusal(with_flag(arguments, "--save-dir", str(tmp_path / "file" / "results")), capsys)


def test_a_hub_that_cannot_be_reached_is_one_line(arguments, tmp_path):
    """HF_HUB_OFFLINE stands for the missing network: the answer is the same and comes without retries."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    script = "import json, sys, run_experiment; print([run_experiment.main(one) for one in json.loads(sys.argv[1])])"
    runs = [with_flag(arguments, flag, "someone/something") for flag in ("--model-name", "--dataset")]
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(runs)], capture_output=True, text=True, timeout=300, env=environment,
        cwd=SCRIPT.parent,
    )  # fmt: skip
    assert done.stdout.strip().split("\n")[-1] == "[2, 2]"
    assert "Traceback" not in done.stderr
    of_model, of_data = done.stderr.strip().split("\n")
    assert of_model.startswith("run_experiment.py: model_name = 'someone/something'")
    assert of_data.startswith("run_experiment.py: DATASET = 'someone/something'")
    assert all("HF_HUB_OFFLINE" in line for line in (of_model, of_data))
