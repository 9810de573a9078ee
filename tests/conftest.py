"""Fixtures that several files use. Those of a whole session are made once by each worker of pytest-xdist."""
import builtins
import errno
import io
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from tiny_models import SHARED, load_model, save_tiny_model
from transformers import Qwen3Config

import run_experiment
from thinking.libraries import prepare_libraries
from thinking.prompt_encoder import PromptEncoder

if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # under nohup: processes that tests start would ignore it too
    signal.signal(signal.SIGHUP, lambda *_: None)
prepare_libraries()
torch.set_num_threads(1)  # tiny tensors: threads that wait for each other cost more than they compute


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("tiny_model"))


@pytest.fixture(scope="session")
def tiny_model(tiny_folder):
    return load_model(tiny_folder)


@pytest.fixture(scope="session")
def question_file(tmp_path_factory):
    """Twelve questions of 2 to 5 options in the shape of TeleQnA's own file."""
    rows = {}
    for number in range(12):
        n_options = 2 + number % 4
        options = {f"option {i}": f"choice {chr(96 + i)} of {number}" for i in range(1, n_options + 1)}
        key = 1 + number % n_options
        rows[f"question {number}"] = {
            "question": f"Which choice fits number {number}{', and why' * number}?",
            **options,
            "answer": f"option {key}: {options[f'option {key}']}",
            "category": f"kind {number % 2}",
        }
    path = tmp_path_factory.mktemp("questions") / "questions.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def qwen3_encoder():
    """Prompts of the real Qwen3 vocabulary; no weights are needed."""
    folder = SHARED / "qwen3-tokenizer"
    if not folder.is_dir():
        pytest.skip("needs the real Qwen3 tokenizer in ../shared/qwen3-tokenizer")
    from transformers import AutoTokenizer

    return PromptEncoder("Qwen3", Qwen3Config(), AutoTokenizer.from_pretrained(folder))


def small_run(tiny_folder, question_file, save_dir):
    """The command line of a run of twelve records; --save-dir and its value are the fifth and sixth of its words."""
    return [
        "--model-name", str(tiny_folder), "--dataset", str(question_file), "--save-dir", str(save_dir),
        "--n-questions", "6", "--n-permutations", "2", "--conventional-arm", "false", "--total-budget", "20",
        "--batch-size", "5",
    ]  # fmt: skip


@pytest.fixture
def no_entry(monkeypatch):
    """Makes a folder that nobody may look into, whoever runs the tests: root may look into every folder."""
    locked = []

    def refusing(function):
        def called(path, *arguments, **keywords):
            if isinstance(path, (str, os.PathLike)) and any(one in Path(path).parents for one in locked):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return function(path, *arguments, **keywords)

        return called

    for owner, name in ((os, "stat"), (os, "open"), (io, "open"), (builtins, "open")):
        monkeypatch.setattr(owner, name, refusing(getattr(owner, name)))
    monkeypatch.setattr(os, "access", lambda path, mode: os.path.exists(path))

    def make(folder):
        folder.mkdir()
        locked.append(folder)
        return folder

    return make


@pytest.fixture
def arguments(tiny_folder, question_file, tmp_path):
    """The command line of a run that has not begun."""
    return small_run(tiny_folder, question_file, tmp_path / "results")


@pytest.fixture(scope="session")
def finished_save_dir(tiny_folder, question_file, tmp_path_factory):
    save_dir = tmp_path_factory.mktemp("finished") / "results"
    assert run_experiment.main(small_run(tiny_folder, question_file, save_dir)) == 0
    return save_dir


@pytest.fixture
def finished(arguments, finished_save_dir):
    """The command line of a run that is done: its results, with figures and report, are a copy of the test's own."""
    shutil.copytree(finished_save_dir, arguments[5])
    return arguments


@pytest.fixture
def no_figures(monkeypatch):
    """Runs in this process draw no figures, which takes longer than all the rest of a small run."""
    monkeypatch.setattr("report.figures.draw_figures", lambda folder: [])
