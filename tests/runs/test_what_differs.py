"""What differs between runs, in words, from their identities."""
import copy

from runs.what_differs import difference_words, what_differs

CONFIG = {
    "settings": {"model_name": "/models/small", "DATASET": "netop/TeleQnA"},
    "questions": {"used": 30},
    "identity": {
        "prompts": {"answer_prompt": "Answer.", "confidence_prompt": "How sure?"},
        "chat_frame": [["<user>", "<model>"]],
        "model": "sha256 1",
        "tokenizer": "a" * 64,
        "questions": "b" * 64,
        "temperature": 0.6,
        "seed": 42,
        "dtype": "float32",
        "n_questions": 30,
        "cells": [],
    },
}


def words(*changes):
    """Of a run and of others with parts of the identity changed."""
    others = [copy.deepcopy(CONFIG) for _ in changes]
    for other, change in zip(others, changes, strict=True):
        other["settings"]["model_name"] = change.pop("model_name", "/models/small")
        other["identity"] |= change
    return difference_words(what_differs([CONFIG, *others]))


def test_a_single_difference_is_named_with_its_values():
    assert words({"temperature": 1.0}) == "What differs between these runs: temperature 0.6 / 1.0, and nothing else."
    assert "seed 42 / 42 / 7, and nothing else" in words({}, {"seed": 7})


def test_runs_with_equal_identities_differ_in_nothing_that_decides_records():
    assert words({}) == "Nothing that decides a record differs between these runs."
    assert words({"n_questions": 0, "cells": [1]}) == words({})  # the same questions; cells are compared one by one


def test_only_the_engine_is_said_to_differ():
    said = words({"engine": {"name": "vllm"}, "dtype": "bfloat16"})
    assert said.startswith("What differs between these runs: nothing but the engine (dtype float32 / bfloat16; engine")
    assert 'transformers / {"name":"vllm"}' in said


def test_another_model_brings_its_tokenizer_and_frame_with_it():
    said = words({"model": "sha256 2", "model_name": "big/one", "tokenizer": "c" * 64, "chat_frame": []})
    assert said.startswith("What differs between these runs: nothing but the model (chat_frame (content A) / (content")


def test_several_differences_are_listed():
    said = words({"temperature": 1.0, "model": "sha256 2", "model_name": "big/one"})
    assert "model small / big/one; temperature 0.6 / 1.0." in said


def test_content_that_no_line_can_show_has_letters():
    assert "model small (content A) / small (content B) / small (content A)" in words({"model": "sha256 2"}, {})
    assert "tokenizer (content A) / (content B)" in words({"tokenizer": "c" * 64})
    assert "questions 30 of netop/TeleQnA (content A) / 30 of" in words({"questions": "d" * 64})
    said = words({"prompts": {"answer_prompt": "Answer!", "confidence_prompt": "How sure?"}})
    assert "prompts (answer_prompt) (content A) / (content B)" in said
