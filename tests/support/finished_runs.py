"""Folders of finished runs for `--cascade`, made without a model: the records say what a test wants them to say."""
import json

from synthetic_run import make_config, make_records, make_summary, write_run_folder


def write_finished_run(folder, n_questions=40, n_permutations=2, cells=((0, None),), change=None, figures=()):
    """A run folder with config.json. change: called with each record, may alter it."""
    records = make_records(n_questions, n_permutations, cells, thought_tokens=5, change=change)
    write_run_folder(folder, records, make_summary(records), figures)
    config = make_config()
    config["identity"] |= {
        "cells": [{"total_budget": budget, "answer_thinking_ratio": ratio} for budget, ratio in cells],
        "n_permutations": n_permutations,
        "n_thoughts": 1,
    }
    config["questions"]["used"] = n_questions
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def right_with(confidence):
    """A change that makes every answer right, with this confidence."""
    def change(record):
        record["predicted_option"], record["is_correct"] = record["correct_option"], True
        record["confidence"] = confidence

    return change


def wrong_with(confidence):
    """A change that makes every answer wrong, with this confidence."""
    def change(record):
        record["predicted_option"], record["is_correct"] = (record["correct_option"] + 1) % 4, False
        record["confidence"] = confidence

    return change
