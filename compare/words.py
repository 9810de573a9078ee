"""The answer of a comparison in words, and its tables for the terminal; from the content of `comparison.json` alone."""
from compare.figures_of_cells import FIGURE_TITLES
from runs.what_differs import one_cause
from scoring.answers import contains_zero
from scoring.comparisons import FEWEST_QUESTIONS, MOST_MISSING
from scoring.criteria import with_article

CLAIM = (
    "The intervals are paired over the common questions, and those of one figure hold for all cells and runs at once"
    " with 95%. They speak about the mean over questions like these and over thoughts."
)


def pair_answer(pair: dict, result: dict) -> str:
    """One paragraph: in which cells a run differs from the first beyond chance in accuracy and AURC."""
    runs = result["runs"]
    name, against = runs[pair["run"]]["name"], runs[pair["against"]]["name"]
    start = f"{name[0].upper()}{name[1:]} against {against}, {result['n_questions']:,} common questions"
    obstacle = _obstacle(pair, result["n_questions"])
    if obstacle:
        return f"{start}: no verdict, {obstacle}."
    said = [_figure_words(pair["cells"], figure) for figure in ("accuracy", "aurc")] + _same_answers(pair["cells"])
    if pair["what_differs"] and not one_cause(pair["what_differs"]):
        parts = ", ".join(pair["what_differs"])
        said.append(f"Several parts differ ({parts}), so a difference cannot be put down to one of them.")
    return f"{start}, by {with_article(result['confidence'])}. {' '.join(said)}"


def _same_answers(cells: list[dict]) -> list[str]:
    """`The same answer in 471 of 480 pairs of records.`; nothing where there are none."""
    n, n_same = (sum(cell[name] for cell in cells) for name in ("n_answer_pairs", "n_same_answers"))
    return [f"The same answer in {n_same:,} of {n:,} pairs of records."] if n else []


def _obstacle(pair: dict, n_questions: int) -> str | None:
    """Why there is no verdict, or None."""
    if n_questions < FEWEST_QUESTIONS:
        return f"{n_questions:,} questions are too few, {FEWEST_QUESTIONS} are needed"
    cells = pair["cells"]
    n_records = sum(cell["n_records"] + cell["n_records_against"] for cell in cells)
    n_missing = sum(cell["aurc"]["n_missing"] + cell["aurc"]["n_missing_against"] for cell in cells)
    if n_missing > MOST_MISSING * n_records:
        return f"{n_missing:,} of {n_records:,} records have no confidence, more than 1%"
    return None


def _figure_words(cells: list[dict], figure: str) -> str:
    """`Accuracy: higher at budget 200, ratio 0.5 (+0.1 [0.01, 0.19]), no difference beyond chance in the other 5.`"""
    groups: dict[str, list[str]] = {}
    n_chance = 0
    for cell in cells:
        row = cell[figure]
        if contains_zero(row["interval"]):
            n_chance += 1
            continue
        direction = "higher" if row["difference"] > 0 else "lower"
        groups.setdefault(direction, []).append(f"{cell_words(cell)} ({difference_text(row)})")
    parts = [f"{direction} at {'; '.join(found)}" for direction, found in groups.items()]
    if n_chance:
        every = "the one cell" if len(cells) == 1 else f"all {n_chance} cells"
        others = "the other cell" if n_chance == 1 else f"the other {n_chance} cells"
        parts.append(f"no difference beyond chance in {others if groups else every}")
    title = FIGURE_TITLES[figure]
    return f"{title[0].upper()}{title[1:]}: {', '.join(parts)}."


def cell_words(cell: dict) -> str:
    """`budget 200, ratio 0.5`."""
    ratio = cell["answer_thinking_ratio"]
    return f"budget {cell['total_budget']:,}, " + ("no thinking" if ratio is None else f"ratio {ratio:g}")


def difference_text(row: dict) -> str:
    """`+0.100 [0.010, 0.190]`."""
    interval = row["interval"]
    ends = "" if interval is None else f" [{interval['low']:.3f}, {interval['high']:.3f}]"
    return _number(row["difference"], 3, "+") + ends


def best_cells_words(result: dict) -> str:
    """The cell with the lowest AURC of each run, over all its cells: it describes, no interval covers the choice."""
    parts = [f"{run['name']} {_best_words(run['best_cell'])}" for run in result["runs"]]
    return f"Lowest observed AURC of each run on these questions: {'; '.join(parts)}."


def _best_words(best: dict | None) -> str:
    return "has none" if best is None else f"at {cell_words(best)} ({best['aurc']:.3f})"


def pair_tables(pair: dict, result: dict) -> str:
    """A line per cell with both values, the difference and its interval: accuracy and AURC, then Brier and tokens."""
    names = [result["runs"][pair[place]]["name"] for place in ("against", "run")]
    halves = [("accuracy", "aurc"), ("brier", "thinking_tokens")]
    return "\n\n".join("\n".join(_table(pair["cells"], figures, names)) for figures in halves)


def _table(cells: list[dict], figures: tuple[str, ...], names: list[str]) -> list[str]:
    title, heads = " " * 14, f"{'budget':>7}{'ratio':>7}"
    for figure in figures:
        title += f"{FIGURE_TITLES[figure]:>48}"
        heads += f"{names[0]:>11}{names[1]:>8}{'minus':>9}{'95% interval':>20}"
    lines = [title, heads]
    for cell in cells:
        ratio = cell["answer_thinking_ratio"]
        line = f"{cell['total_budget']:>7}{'-' if ratio is None else f'{ratio:.2f}':>7}"
        for figure in figures:
            line += _columns(cell[figure], 1 if figure == "thinking_tokens" else 3)
        lines.append(line)
    return lines


def _columns(row: dict, digits: int) -> str:
    interval = row["interval"]
    ends = "-" if interval is None else f"[{interval['low']:.{digits}f}, {interval['high']:.{digits}f}]"
    return (
        f"{_number(row['value_against'], digits):>11}{_number(row['value'], digits):>8}"
        f"{_number(row['difference'], digits, '+'):>9}{ends:>20}"
    )


def _number(value: float | None, digits: int, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.{digits}f}"
