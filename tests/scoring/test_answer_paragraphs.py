"""The answer in words, from a made-up summary."""
from synthetic_run import make_records, make_summary

from scoring.answer_paragraphs import answer_paragraphs, certified_targets

SINGLE = [(0, None), (100, 0.5)]
NOTHING = dict.fromkeys(("threshold", "coverage", "n_used", "n_wrong"))


def summary_of(**arguments):
    return make_summary(make_records(12, **arguments))


def texts(summary):
    return [paragraph.text for paragraph in answer_paragraphs(summary)]


def certify_nothing(summary):
    for cell in summary["cells"]:
        for row in cell["confidences"]["confidence"]["guaranteed_thresholds"]:
            row |= NOTHING


def test_several_ratios_have_their_verdict_then_the_claims_then_the_conventional_arm():
    summary = summary_of(cells=[(0, None), (100, 0.0), (100, 1.0), (200, 0.0), (200, 1.0)])
    summary["comparisons"]["by_budget"][1]["no_verdict"] = "20 questions are needed"
    assert texts(summary) == [
        "Budget 100: the made-up answer in words.",
        "Budget 200: the made-up answer in words.",
        "Each budget is a claim of its own.",
        "Reasoning beats the conventional arm in this made-up run.",
    ]
    assert [paragraph.is_obstacle for paragraph in answer_paragraphs(summary)] == [False, True, False, False]


def test_a_single_ratio_is_described_with_every_figure():
    conventional, cell, comparison = texts(summary_of(cells=SINGLE))
    assert cell == (
        "Total budget 100, ratio 0.5: accuracy 0.250 (95% interval 0.150 to 0.350), 12 questions, 12 records."
        " By the verbalised confidence: ECE 0.250 (if calibrated 0.250 to 0.250), Brier score 0.250 (0.150 to 0.350),"
        " AURC 0.250 (0.150 to 0.350); lower is better. At an error rate of at most 0.05 the threshold 0.83 was"
        " certified; 0.410 of these answers reach it. Of new answers 0.250 at least can be used (each with 95%)."
        " Warning: few values. At ratio 0.5 the verbalised confidence takes 7 values, and 25% of the records share one:"
        " it cannot rank those."
    )
    assert conventional.startswith("No thinking: accuracy 0.250") and "Warning" not in conventional
    assert comparison == "Reasoning beats the conventional arm in this made-up run."


def test_the_conventional_arm_alone_is_described_with_its_own_warning():
    (text,) = texts(summary_of(cells=[(0, None)]))
    assert text.startswith("No thinking: accuracy 0.250")
    assert "Warning: few values. Without thinking the verbalised confidence takes 7 values" in text


def test_several_budgets_with_one_ratio_are_described_one_by_one_without_a_claim():
    described = texts(summary_of(cells=[(100, 0.5), (200, 0.5)]))
    assert [text.partition(",")[0] for text in described] == ["Total budget 100", "Total budget 200"]


def test_that_nothing_was_certified_is_said_once():
    for cells, where in ((None, "in any cell"), (SINGLE, "in any cell"), ([(100, 0.5)], "here")):
        summary = summary_of(**({"cells": cells} if cells else {}))
        certify_nothing(summary)
        said = " ".join(texts(summary))
        assert said.count("certified") == 1
        assert said.endswith(
            f"By the verbalised confidence no threshold was certified {where} for an error rate of at most 0.05 of new"
            " answers (n = 12)."
        )


def test_where_one_cell_has_a_threshold_the_other_says_that_it_has_none():
    summary = summary_of(cells=SINGLE)
    summary["cells"][0]["confidences"]["confidence"]["guaranteed_thresholds"][0] |= NOTHING
    conventional, cell, _ = texts(summary)
    assert "At an error rate of at most 0.05 no threshold was certified." in conventional
    assert "the threshold 0.83 was certified" in cell


def test_missing_values_are_dashes_and_missing_records_are_counted():
    records = make_records(12, cells=[(100, 0.5)])
    (cell, _) = texts(make_summary(records, has_values=False))
    assert "accuracy -, 12 questions, 12 records." in cell
    assert "ECE -, Brier score -, AURC -; lower is better. 12 records have none." in cell
    summary = make_summary(records)
    summary["cells"][0]["n_errors"] = 3
    assert "12 records, 3 of them with errors." in texts(summary)[0]


def test_certified_targets_are_those_of_any_cell():
    cells = summary_of()["cells"]
    for cell in cells:
        cell["confidences"]["p_true"]["guaranteed_thresholds"][0] |= NOTHING
    cells[0]["confidences"]["p_true"]["guaranteed_thresholds"][1] |= NOTHING
    assert certified_targets(cells, "p_true") == [0.1, 0.2]
    assert certified_targets(cells, "confidence") == [0.05, 0.1, 0.2]
