"""The answer of a cascade in words, and its table for the terminal; from the content of `cascade.json` alone."""
NO_MONEY = 1e-12  # differences in cost below that are rounding

def run_names(n_runs: int) -> list[str]:
    """What the runs are called: the first is the edge, the last the cloud."""
    return ["edge", *(f"run {number}" for number in range(2, n_runs)), "cloud"]


def deployment_words(entry: dict, names: list[str]) -> str:
    """Cell and tiers: `budget 400, ratio 0.5: edge, then cloud`. names: of the runs, in their order."""
    if entry.get("is_baseline"):
        return entry["name"]
    used = [names[run] for run in entry["runs"]]
    tiers = "the expert alone" if not used else ", then ".join(used) if len(used) > 1 else f"{used[0]} alone"
    cell = cell_words(entry) or (entry["name"] if "name" in entry and not used else "")
    return f"{cell}: {tiers}" if cell else tiers


def cell_words(entry: dict) -> str:
    """`budget 400, ratio 0.5`; empty where the last run is not used."""
    if entry["total_budget"] is None:
        return ""
    ratio = entry["answer_thinking_ratio"]
    return f"budget {entry['total_budget']:,}, " + ("no thinking" if ratio is None else f"ratio {ratio:g}")


def threshold_words(entry: dict, names: list[str]) -> str:
    """`confidence at least edge 0.9, cloud 0.34; uncertainty below edge 0.05, cloud 0.15`."""
    used = [names[run] for run in entry["runs"]]
    parts = [("confidence at least", entry["confidence_thresholds"])]
    if entry["uncertainty_thresholds"] is not None:
        parts.append(("uncertainty below", entry["uncertainty_thresholds"]))
    return "; ".join(
        f"{title} " + ", ".join(f"{name} {value:g}" for name, value in zip(used, values, strict=True))
        for title, values in parts
    )


def money(value: float | None) -> str:
    """Four significant digits, without an exponent."""
    return "-" if value is None else f"{value:.4g}" if value == 0 or abs(value) >= 1e-4 else f"{value:.7f}"


def reading_answer(reading: str, entry: dict, result: dict) -> str:
    """One paragraph: what is certified on all questions, then what the halves say of its cost."""
    start = f"Risk as {entry['meaning']}, under {result['target_error']:g} with probability 95%: "
    if entry["cheapest"] is None:
        nothing = all(one["confidence_thresholds"] is None for one in entry["certificates"])
        why = "no thresholds can be certified" if nothing else "all that is certified costs more than the expert"
        return f"{start}{why} with {result['n_questions']:,} questions, so the expert answers everything."
    names, best = [run["name"] for run in result["runs"]], entry["certificates"][entry["cheapest"]]
    certificate = (
        f"{deployment_words(best, names)} ({threshold_words(best, names)}) is cheapest. On all {best['n']:,} questions"
        f" it costs {money(best['cost'])} per question against {money(result['costs']['expert'])} for the expert alone;"
        f" {best['n_automated']:,} are automated, {best['n_wrong']:,} of them wrong."
    )
    return f"{start}{certificate} {_held_out_words(reading, entry['held_out'], names)}"


def _held_out_words(reading: str, held_out: dict, names: list[str]) -> str:
    start = f"Thresholds from one half ({held_out['n_thresholds']:,} questions), judged on the other:"
    if held_out["chosen"] is None:
        return f"{start} that half is too small to certify anything, so costs are not compared."
    deployments = held_out["deployments"]
    chosen = deployments[held_out["chosen"]]
    risk, interval = chosen[reading], chosen[f"{reading}_interval"]
    shown_risk = "no risk, as nothing is automated" if risk is None else f"a risk of {risk:.3f}{_range(interval)}"
    words = [f"{start} {deployment_words(chosen, names)} has a cost of {money(chosen['cost'])} and {shown_risk}."]
    rows = [(deployments[row["against"]], row) for row in held_out["cost_differences"]]
    if any(row["interval"] is None for _, row in rows):
        return f"{words[0]} {held_out['n_judged']:,} questions are too few to compare costs."
    words.append(_cells_words([(other, row) for other, row in rows if not other["is_baseline"]]))
    words.append(_baselines_words([(other, row) for other, row in rows if other["is_baseline"]]))
    return " ".join(filter(None, words))


def _cells_words(rows: list[tuple[dict, dict]]) -> str:
    """Which other cells cost more, and which may cost the same."""
    groups: dict[str, list[str]] = {}
    for other, row in rows:
        name = cell_words(other) or other["name"]
        groups.setdefault(_verdict(row), []).append(name if other["runs"] else f"{name} (nothing certified)")
    parts = [
        f"{verdict} {f'each of the {len(found)} others' if len(found) == len(rows) > 1 else '; '.join(found)}"
        for verdict, found in groups.items()
    ]
    return f"It costs {'. It costs '.join(parts)}." if parts else ""


def _baselines_words(rows: list[tuple[dict, dict]]) -> str:
    parts = []
    for other, row in rows:
        error = other["wrong_of_automated"]
        wrong = "" if error is None or other["name"] == "oracle" else f"; {error:.3f} of its answers are wrong"
        parts.append(f"{_verdict(row)} {other['name']} ({money(other['cost'])}{wrong})")
    return f"It costs {', '.join(parts)}."


def _verdict(row: dict) -> str:
    low, high = row["interval"]["low"], row["interval"]["high"]
    if max(abs(low), abs(high)) < NO_MONEY:
        return "the same as"
    if high < 0:
        return "less than"
    return "more than" if low > 0 else "a sum that cannot be told apart from"


def _range(interval: dict | None) -> str:
    return "" if interval is None else f" [{interval['low']:.3f}, {interval['high']:.3f}]"


def cascade_table(result: dict, reading: str) -> str:
    """A line per deployment on the half that judges: cost, wrong of automated, and who answers."""
    held_out, names = result["readings"][reading]["held_out"], [run["name"] for run in result["runs"]]
    header = f"{'deployment':<46}{'rule':>12}{'cost':>11}{'wrong/automated':>17}{'error':>7}"
    lines = [header + "".join(f"{name:>8}" for name in [*names, "expert"])]
    for place, one in enumerate(held_out["deployments"]):
        mark = " *" if place == held_out["chosen"] else ""
        error = "-" if one["wrong_of_automated"] is None else f"{one['wrong_of_automated']:.3f}"
        line = f"{deployment_words(one, names) + mark:<46}{one['rule'] or '-':>12}{money(one['cost']):>11}"
        line += f"{one['n_wrong']:>8,}/{one['n_automated']:<8,}{error:>7}"
        shares = [*one["answered_by_runs"], one["answered_by_expert"]]
        lines.append(line + "".join(f"{share:>8.3f}" for share in shares))
    return "\n".join(lines)
