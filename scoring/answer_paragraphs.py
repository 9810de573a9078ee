"""The answer of a run in words, paragraph by paragraph, from its `summary.json`: for a terminal and for the report."""
from dataclasses import dataclass

from scoring.answers import few_values
from scoring.comparisons import FEWEST_DISTINCT, LARGEST_TIE_SHARE
from scoring.criteria import with_article


@dataclass(frozen=True)
class Paragraph:
    """text: one paragraph. is_obstacle: whether it says why there is no verdict."""

    text: str
    is_obstacle: bool = False


def answer_paragraphs(summary: dict) -> list[Paragraph]:
    """What the run found, most important first.

    A run with several ratios has a verdict per total budget. Where no budget has two ratios there is nothing to choose,
    and each cell is described instead. Then come how far the verdicts hold together, the comparison with the
    conventional arm, and whether no threshold at all was certified.
    """
    comparisons = summary["comparisons"]
    if not compares_ratios(summary):
        paragraphs = [Paragraph(text) for text in _cell_texts(summary)]
    else:
        paragraphs = [_said(entry) for entry in comparisons["by_budget"]]
        if comparisons["claims"]:
            paragraphs.append(Paragraph(comparisons["claims"]))
    if comparisons["conventional"]:
        paragraphs.append(_said(comparisons["conventional"]))
    if not _is_certified_anywhere(summary):
        paragraphs.append(Paragraph(_none_certified(summary)))
    return paragraphs


def compares_ratios(summary: dict) -> bool:
    """Whether any total budget was run with more than one ratio."""
    return any(len(entry["ratios"]) > 1 for entry in summary["comparisons"]["by_budget"])


def certified_targets(cells: list[dict], confidence: str) -> list[float]:
    """The target error rates for which at least one cell has a guaranteed threshold by this confidence, rising."""
    rows = [row for cell in cells for row in cell["confidences"][confidence]["guaranteed_thresholds"]]
    return sorted({row["target_error"] for row in rows if row["threshold"] is not None})


def _said(entry: dict) -> Paragraph:
    return Paragraph(entry["answer"], entry["no_verdict"] is not None)


def _cell_texts(summary: dict) -> list[str]:
    is_certified = _is_certified_anywhere(summary)
    return [" ".join(filter(None, [
        _accuracy(cell), _confidence(cell, summary), _certified(cell, summary) if is_certified else "",
        _warning(cell, summary),
    ])) for cell in summary["cells"]]  # fmt: skip


def _accuracy(cell: dict) -> str:
    name = "No thinking"
    if cell["total_budget"] > 0:
        name = f"Total budget {cell['total_budget']:,}, ratio {cell['answer_thinking_ratio']:g}"
    errors = f", {cell['n_errors']:,} of them with errors" if cell["n_errors"] else ""
    value = f"{_number(cell['accuracy'])}{_interval(cell['accuracy_interval'], '95% interval ')}"
    return f"{name}: accuracy {value}, {cell['n_questions']:,} questions, {cell['n_records']:,} records{errors}."


def _confidence(cell: dict, summary: dict) -> str:
    confidence = summary["headline_confidence"]
    scores = cell["confidences"][confidence]
    name = with_article(confidence)
    missing = f" {scores['n_missing']:,} records have none." if scores["n_missing"] else ""
    return (
        f"By {name}: ECE {_number(scores['ece'])}{_interval(scores['ece_if_calibrated'], 'if calibrated ')},"
        f" Brier score {_number(scores['brier'])}{_interval(scores['brier_interval'])},"
        f" AURC {_number(scores['aurc'])}{_interval(scores['aurc_interval'])}; lower is better.{missing}"
    )


def _certified(cell: dict, summary: dict) -> str:
    """What may be used of new answers at the target error, as far as it is certified."""
    scores, target = cell["confidences"][summary["headline_confidence"]], summary["target_error"]
    row = _at_target(cell, summary)
    if row is None or row["threshold"] is None:
        return f"At an error rate of at most {target:g} no threshold was certified."
    bound = scores["coverage_at_target_lower_bound"]
    return (
        f"At an error rate of at most {target:g} the threshold {row['threshold']:.2f} was certified;"
        f" {row['coverage']:.3f} of these answers reach it. Of new answers {_number(bound)} at least can be used"
        " (each with 95%)."
    )


def _warning(cell: dict, summary: dict) -> str:
    if cell["total_budget"] == 0 and summary["comparisons"]["conventional"]:
        return ""  # the comparison with the conventional arm says it
    confidence = summary["headline_confidence"]
    n_distinct, share = (cell["confidences"][confidence][name] for name in ("n_distinct", "largest_tie_share"))
    if not n_distinct or (n_distinct >= FEWEST_DISTINCT and share <= LARGEST_TIE_SHARE):
        return ""
    return few_values(confidence, [(cell["answer_thinking_ratio"], n_distinct, share)])


def _is_certified_anywhere(summary: dict) -> bool:
    return summary["target_error"] in certified_targets(summary["cells"], summary["headline_confidence"])


def _none_certified(summary: dict) -> str:
    rows = [row for cell in summary["cells"] if (row := _at_target(cell, summary))]
    counts = sorted({row["n"] for row in rows}) or [0]
    n = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    where = "in any cell" if len(summary["cells"]) > 1 else "here"
    return (
        f"By {with_article(summary['headline_confidence'])} no threshold was certified {where} for an error rate of at"
        f" most {summary['target_error']:g} of new answers (n = {n})."
    )


def _at_target(cell: dict, summary: dict) -> dict | None:
    rows = cell["confidences"][summary["headline_confidence"]]["guaranteed_thresholds"]
    return next((row for row in rows if row["target_error"] == summary["target_error"]), None)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(interval: dict | None, words: str = "") -> str:
    if interval is None or interval["low"] is None:
        return ""
    return f" ({words}{interval['low']:.3f} to {interval['high']:.3f})"
