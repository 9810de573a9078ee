"""What the program says on a terminal, in whatever encoding it has: table and answer at the end, faults in one line."""
import errno
import sys
from contextlib import suppress
from textwrap import fill

from basics.errors import one_line
from scoring.record_schema import CONFIDENCE_TITLES

_NO_ENTRY = (errno.EACCES, errno.EPERM)  # files and folders of others
_DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE)  # also of what is printed to a file


def set_up() -> None:
    """For a program that begins: whatever it prints can be printed."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name that the encoding lacks must not end a run


def import_fault(error: ImportError) -> str:
    """Which package cannot be imported, and what to do."""
    found = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be imported ({error})"
    name = (error.name or "").partition(".")[0]
    return (
        f"the package {name or 'named here'!r} {found}; this is {sys.executable}: start the program with `make demo` or"
        " `make run`, which install what is missing, or run `pip install -r requirements.txt`"
    )


def disk_fault(error: OSError) -> str | None:
    """What to tell of a file or disk that cannot be used; None for an error that is neither's."""
    if error.errno in _NO_ENTRY and error.filename:
        return f"{error.filename}: {error.strerror}"
    if error.errno in _DISK_FAULTS:
        return f"cannot write: {error.strerror}; the same command goes on once this is fixed"
    return None


def ended(status: int, reason: str, example: tuple[str, ...] = ()) -> int:
    """Says why the program ends, with lines of an example below, and gives back its exit status."""
    with suppress(OSError):  # nobody can be told if what is printed goes to a full disk
        lines = [f"run_experiment.py: {one_line(reason)}", *(f"    {line}" for line in example)]
        print("\n".join(lines), file=sys.stderr, flush=True)
    return status


def results_table(summary: dict) -> str:
    """The closing table: a line per cell, by the headline confidence; what was missing and how the caps held."""
    target = summary["target_error"]
    header = f"{'budget':>7}{'ratio':>7}{'records':>9}{'accuracy':>10}{'95% interval':>16}{'ECE':>7}{'Brier':>7}"
    header += f"{'AUROC':>7}{'AURC':>7}{f'cover@{target:g}':>12}"
    lines = ["", header]
    for cell in summary["cells"]:
        headline, interval = cell["confidences"][summary["headline_confidence"]], cell["accuracy_interval"]
        line = f"{cell['total_budget']:>7}{shown_number(cell['answer_thinking_ratio'], 2):>7}{cell['n_records']:>9,}"
        line += f"{shown_number(cell['accuracy']):>10}"
        line += f"{_range(interval):>16}"
        for name in ("ece", "brier", "auroc", "aurc"):
            line += f"{shown_number(headline[name]):>7}"
        lines.append(line + f"{shown_number(headline['coverage_at_target']):>12}")
    questions, cells = summary["run"]["questions"], len(summary["cells"])
    sampled, alone = (summary[f"{name}_thinking_tokens"]["total"] for name in ("sampled", "standalone"))
    name = summary["headline_confidence"]
    missing = sum(cell["confidences"][name]["n_missing"] for cell in summary["cells"])
    lines += [
        "",
        f"Records: {summary['n_records']:,}, with errors: {summary['n_errors']:,}, without a"
        f" {CONFIDENCE_TITLES[name]}: {missing:,}.",
        _questions_line(questions),
        f"Budget audit: {summary['n_records']:,} records, largest overshoot {summary['largest_overshoot']} tokens.",
        f"Thinking tokens: {sampled:,} sampled; "
        + (f"the {cells} cells run one by one would have sampled {alone:,}." if cells > 1 else "one cell."),
        *_variance_line(summary),
    ]
    return "\n".join(lines)


def _variance_line(summary: dict) -> list[str]:
    """Whether more questions or more permutations and thoughts would make the intervals shorter; empty if unknown."""
    shares = [cell["accuracy_variance"]["share_from_questions"] for cell in summary["cells"]]
    shares = [share for share in shares if share is not None]
    if not shares:
        return []
    low, high = (f"{share:.0%}" for share in (min(shares), max(shares)))
    range_ = low if low == high else f"{low} to {high}"
    return [f"Of the variance of the mean accuracy, {range_} comes from the choice of questions."]


def _questions_line(questions: dict) -> str:
    """How many of the questions were used, in how many rows of the data set they stand, and how many were skipped."""
    listed = " (config.json lists them)" if questions["n_skipped"] else ""
    return (
        f"Questions: {questions['used']:,} of {questions['loaded']:,} in {questions['n_rows']:,} rows."
        f" Rows skipped: {questions['n_skipped']:,}{listed}."
    )


def answer_text(summary: dict) -> str:
    """The answer in words, paragraph by paragraph."""
    from scoring.answer_paragraphs import answer_paragraphs  # here: --help needs no package

    return "\n".join(["", *(fill(paragraph.text, 110) for paragraph in answer_paragraphs(summary)), ""])


def _range(interval: dict[str, float] | None) -> str:
    return "-" if interval is None else f"{interval['low']:.3f}-{interval['high']:.3f}"


def shown_number(value: float | None, digits: int = 3) -> str:
    """A dash for None."""
    return "-" if value is None else f"{value:.{digits}f}"
