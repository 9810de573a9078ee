"""The closing table and the answer in words: every number in its own column."""
from synthetic_run import make_records, make_summary

from runs.terminal import answer_text, results_table


def cell(budget, ratio, accuracy, interval, **verbalised):
    return {
        "total_budget": budget, "answer_thinking_ratio": ratio, "n_records": 1234, "accuracy": accuracy,
        "accuracy_interval": interval, "confidences": {"confidence": verbalised},
        "accuracy_variance": {"share_from_questions": None},
    }  # fmt: skip


FULL = cell(
    200, 0.25, 0.511, {"low": 0.411, "high": 0.611},
    ece=0.121, brier=0.232, auroc=0.743, aurc=0.354, coverage_at_target=0.465, n_missing=3,
)  # fmt: skip
EMPTY = cell(
    0, None, None, None, ece=None, brier=None, auroc=None, aurc=None, coverage_at_target=None, n_missing=20
)
SUMMARY = {
    "target_error": 0.05, "headline_confidence": "confidence", "cells": [EMPTY, FULL],
    "n_records": 2468, "n_errors": 7, "largest_overshoot": 0,
    "sampled_thinking_tokens": {"total": 11_111}, "standalone_thinking_tokens": {"total": 22_222},
    "run": {"questions": {"used": 40, "loaded": 50, "n_rows": 56, "n_skipped": 6}},
}  # fmt: skip


def test_every_figure_of_the_table_stands_below_its_name():
    header, empty, full = results_table(SUMMARY).split("\n")[1:4]
    names = ["budget", "ratio", "records", "accuracy", "95%", "interval", "ECE", "Brier", "AUROC", "AURC", "cover@0.05"]
    assert header.split() == names
    shown = ["200", "0.25", "1,234", "0.511", "0.411-0.611", "0.121", "0.232", "0.743", "0.354", "0.465"]
    assert full.split() == shown
    assert empty.split() == ["0", "-", "1,234", *"-------"]
    ends = [header.index(name) + len(name) for name in names if name != "95%"]
    assert [full.index(value) + len(value) for value in shown] == ends


def test_below_the_table_stands_what_was_missing_and_what_sharing_thoughts_saved():
    assert results_table(SUMMARY).split("\n")[5:] == [
        "Records: 2,468, with errors: 7, without a verbalised confidence: 23.",
        "Questions: 40 of 50 in 56 rows. Rows skipped: 6 (config.json lists them).",
        "Budget audit: 2,468 records, largest overshoot 0 tokens.",
        "Thinking tokens: 11,111 sampled; the 2 cells run one by one would have sampled 22,222.",
    ]
    alone = SUMMARY | {"cells": [FULL], "run": {"questions": {"used": 50, "loaded": 50, "n_rows": 50, "n_skipped": 0}}}
    assert results_table(alone).split("\n")[5] == "Questions: 50 of 50 in 50 rows. Rows skipped: 0."
    assert results_table(alone).endswith("Thinking tokens: 11,111 sampled; one cell.")


def test_where_several_records_per_question_tell_it_the_share_of_the_questions_is_said():
    def cells(*shares):
        return {"cells": [FULL | {"accuracy_variance": {"share_from_questions": share}} for share in shares]}

    assert results_table(SUMMARY | cells(0.8, None, 0.954)).endswith(
        "\nOf the variance of the mean accuracy, 80% to 95% comes from the choice of questions."
    )
    assert "accuracy, 95% comes from" in results_table(SUMMARY | cells(0.95))


def test_the_answer_is_printed_paragraph_by_paragraph_in_lines_of_at_most_110_characters():
    summary = make_summary(make_records(6))
    summary["comparisons"]["by_budget"][0]["answer"] = "word " * 40
    lines = answer_text(summary).split("\n")
    assert lines[0] == lines[-1] == ""
    assert lines[-2] == "Reasoning beats the conventional arm in this made-up run."
    assert max(map(len, lines)) <= 110 and lines[1].startswith("word word")
