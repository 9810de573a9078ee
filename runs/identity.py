"""What a run is: everything that decides its records, and what `config.json` says about it."""
from dataclasses import asdict

from evaluation_tool import prompts_identity
from questions.question_sets import QuestionSet, fingerprint
from runs.budgets import Cell
from runs.results_folder import SCHEMA_VERSION
from runs.units import Workload


def run_identity(settings: dict, cells: list[Cell], questions: list, encoder, model) -> dict:
    """Everything that decides the records; its hash is part of the run name."""
    return {
        "schema_version": SCHEMA_VERSION,
        "prompts": prompts_identity(),
        "chat_frame": encoder.chat_frame(),
        "closings": encoder.closing_texts(),
        "tokenizer": encoder.fingerprint(),
        "model": encoder.model_fingerprint(),
        "questions": fingerprint(questions),
        "temperature": settings["TEMPERATURE"],
        "top_p": settings["TOP_P"],
        "top_k": settings["TOP_K"],
        "seed": settings["SEED"],
        **model.identity(),
        "cells": [asdict(cell) for cell in cells],
        "n_questions": settings["N_QUESTIONS"],
        "n_permutations": settings["N_PERMUTATIONS"],
        "n_thoughts": settings["N_THOUGHTS"],
    }


def run_config(settings: dict, is_demo: bool, identity: dict, question_set: QuestionSet, workload: Workload) -> dict:
    """What `config.json` holds besides its processes: settings, what was hashed, and the questions.

    is_demo is a field because a reader of the folder cannot tell it from paths: they are those of the run's machine.
    """
    skipped = [*question_set.skipped, *workload.too_long]
    return {
        "is_demo": is_demo,
        "settings": settings,
        "identity": identity,
        "questions": {
            "n_rows": len(question_set.questions) + len(question_set.skipped),
            "loaded": len(question_set.questions),
            "used": len(workload.questions),
            "n_skipped": len(skipped),
            "skipped": skipped,
            "notes": question_set.notes,
        },
    }
