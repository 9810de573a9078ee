"""What the comparisons allow to say, in words."""
from scoring.criteria import AURC, with_article


def claims(n_budgets: int) -> str | None:
    """How far the budgets' claims go together; None for one budget."""
    if n_budgets < 2:
        return None
    together = max(0, 100 - 5 * n_budgets)
    return (
        f"Each of the {n_budgets} total budgets is a claim of its own, with 95%; all of them hold together with"
        f" {together}% at least. So it is with each confidence and each criterion."
    )


def contains_zero(interval: dict | None) -> bool:
    """Whether the difference may be chance; so it is without an interval."""
    return interval is None or interval["low"] <= 0 <= interval["high"]


def budget_answer(entry: dict, values: dict, shared) -> str:
    """The paragraph of a total budget. values: ratio -> metric -> value; shared: comparisons.Comparison."""
    start = f"Total budget {entry['total_budget']:,}: "
    if entry["no_verdict"]:
        return " ".join([f"{start}no verdict, {entry['no_verdict']}.", *entry["warnings"]])
    sentences = [
        start + _verdict(entry, values),
        _best_set(entry),
        _equivalence(entry, shared.smallest_difference),
        *_other_choices(entry, values, shared.criteria),
        _better_confidence(entry),
        *entry["warnings"],
    ]
    return " ".join(filter(None, sentences))


def conventional_answer(entry: dict, values: dict, conventional: dict) -> str:
    """The paragraph of the comparison with the conventional arm; values, conventional: metric -> value."""
    cell = f"total budget {entry['total_budget']:,}, ratio {entry['answer_thinking_ratio']:g}, chosen in advance"
    start = f"Reasoning ({cell})"
    if entry["no_verdict"]:
        verdict = f"{start} against conventional (no thinking): no verdict, {entry['no_verdict']}."
        return " ".join([verdict, *entry["warnings"]])
    difference = entry["differences"]["aurc"]
    low, high = difference["interval"]["low"], difference["interval"]["high"]
    verdict = "no difference is shown"
    if not contains_zero(difference["interval"]):
        verdict = "reasoning is better" if high < 0 else "reasoning is worse"
    text = (
        f"{start} against conventional (no thinking): AURC {values['aurc']:.3f} against {conventional['aurc']:.3f},"
        f" difference {difference['difference']:+.3f} [{low:+.3f}, {high:+.3f}]: {verdict}. Accuracy"
        f" {values['accuracy']:.3f} against {conventional['accuracy']:.3f}."
    )
    return " ".join([text, *entry["warnings"]])


def few_values(confidence: str, cells: list[tuple[float | None, int, float]]) -> str:
    """A warning. cells: per cell with few values its ratio, the distinct values, the share of the most frequent one."""
    ratios = [ratio for ratio, _, _ in cells if ratio is not None]
    where = f"At {_ratios(ratios).lower()}" if ratios else "Without thinking"
    numbers, shares = sorted(n for _, n, _ in cells), sorted(share for _, _, share in cells)
    values = f"{_span(numbers)} {_plural(max(numbers), 'value', 'values')}"
    most = _span([f"{share:.0%}" for share in shares])
    return (
        f"Warning: few values. {where} {with_article(confidence)} takes {values}, and {most} of the records"
        " share one: it cannot rank those."
    )


# --- sentences ---------------------------------------------------------------------------------------------------


def _verdict(entry, values):
    best, unbeaten = entry["best_ratio"]["aurc"], entry["unbeaten_ratios"]
    worse = [ratio for ratio in entry["ratios"] if ratio not in unbeaten]
    as_good = [ratio for ratio in unbeaten if ratio != best]
    aurc = f"AURC {values[best]['aurc']:.3f}, lower is better"
    if not worse:
        return f"no ratio is shown to be better than another. Ratio {best:g} looks best ({aurc})."
    if not as_good:
        return f"use ratio {best:g} ({aurc}). Every other ratio is worse."
    are = _plural(len(worse), "is", "are")
    return f"use ratio {best:g} ({aurc}). {_ratios(as_good)} may be as good; {_listed(worse)} {are} worse."


def _best_set(entry):
    """Only where it says more than the verdict, which compares all pairs."""
    chosen = entry["best_sets"]["aurc"]
    if chosen is None or len(chosen) == len(entry["unbeaten_ratios"]):
        return ""
    if len(chosen) == 1:
        return f"Compared with the best alone, {chosen[0]:g} is the best ratio (95%)."
    return f"Compared with the best alone, the best ratio is among {_listed(chosen)} (95%)."


def _equivalence(entry, smallest_difference):
    pairs = [f"{first:g} and {second:g}" for first, second in entry["equivalent_pairs"] or []]
    if entry["equivalent_pairs"] is None:
        return ""
    if not pairs:
        return f"No two ratios are shown to be equivalent within {smallest_difference:g} AURC."
    return f"Equivalent within {smallest_difference:g} AURC: {'; '.join(pairs)}."


def _other_choices(entry, values, criteria):
    """Whoever is served by another criterion than AURC, and what they should take."""
    best = entry["best_ratio"]["aurc"]
    others, as_aurc, worthless = [], [], []
    for one in criteria:
        ratio = entry["best_ratio"][one.name]
        if ratio is None:
            worthless += [f"{one.wrong_answer_cost:g}"] if one.wrong_answer_cost is not None else []
        elif ratio == best:
            as_aurc += [one] if one is not AURC else []
        else:
            word, there, here = one.title.partition(" at ")[0], values[ratio][one.name], values[best][one.name]
            chance = _not_apart(entry, one.name, ratio, best)
            others.append(f"{one.purpose}, take ratio {ratio:g} ({word} {there:.3f} against {here:.3f}{chance}).")
    if others:
        others.insert(0, "The criteria disagree.")
        if as_aurc:
            others.append(f"Ratio {best:g} is best by {_joined([one.title for one in as_aurc])} too.")
    if worthless:
        costs = f"costs {_joined(worthless, 'or')} times what a right one brings"
        others.append(f"If a wrong answer {costs}, withhold every answer: no ratio's utility is above 0.")
    return others


def _not_apart(entry, name, ratio, against):
    """A clause where the interval of the two ratios' difference contains 0 or does not exist."""
    for row in entry["differences"][name]:
        if {row["ratio"], row["against_ratio"]} == {ratio, against} and contains_zero(row["interval"]):
            return ", a difference that may be chance"
    return ""


def _better_confidence(entry):
    """Where another confidence, at its own best ratio, ranks answers better beyond chance: the one that does most."""
    better = [row for row in entry["by_other_confidences"] if row["interval"] and row["interval"]["high"] < 0]
    if not better:
        return ""
    row = min(better, key=lambda row: row["difference"])
    low, high = row["interval"]["low"], row["interval"]["high"]
    name = with_article(row["confidence"])
    return (
        f"{name[0].upper()}{name[1:]} at ratio {row['best_ratio']:g} ranks answers better than any of these (AURC"
        f" {row['aurc']:.3f}, difference {row['difference']:+.3f} [{low:+.3f}, {high:+.3f}]); CONFIDENCE"
        " chooses which confidence decides."
    )


def _ratios(ratios):
    return f"{_plural(len(ratios), 'Ratio', 'Ratios')} {_listed(ratios)}"


def _listed(ratios):
    return _joined([f"{ratio:g}" for ratio in ratios])


def _joined(words, last="and"):
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def _span(values):
    return f"{min(values)}" if min(values) == max(values) else f"{values[0]} to {values[-1]}"


def _plural(count, one, many):
    return one if count == 1 else many
