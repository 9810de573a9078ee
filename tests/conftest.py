"""Tiny models made on the spot: the real Qwen3 architecture, random float32 weights, about 330 tokens."""
import json

import pytest
import torch
from tiny_models import SHARED, load_model, save_tiny_model
from transformers import Qwen3Config

from thinking.libraries import prepare_libraries
from thinking.prompt_encoder import PromptEncoder

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


@pytest.fixture
def arguments(tiny_folder, question_file, tmp_path):
    return [
        "--model-name", str(tiny_folder), "--dataset", str(question_file), "--save-dir", str(tmp_path / "results"),
        "--n-questions", "6", "--n-permutations", "2", "--conventional-arm", "false", "--total-budget", "20",
        "--batch-size", "5",
    ]  # fmt: skip
