"""A run folder as one page to open, read and browse: `report.html`, which needs no other file and no network."""
import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined
from markupsafe import Markup

from basics.errors import UserError
from basics.files import reason, written_anew
from report.cascade_results import cascade_errors_told, read_cascade
from report.embedded_records import embed_records, escaped_json
from report.figures import figures_of
from report.figures.cascade import FIGURE as CASCADE_FIGURE
from report.figures.parts import ResultFigure
from report.summary_errors import summary_errors_told
from runs.results_folder import read_summary
from scoring.answer_paragraphs import answer_paragraphs, certified_targets, compares_ratios
from scoring.criteria import criteria
from scoring.record_schema import CONFIDENCE_TITLES

MAX_EMBEDDED_BYTES = 100_000_000  # bytes of records in the page; a laptop's browser still opens such a page in seconds
MAX_LISTED_ROWS = 200  # skipped rows and notes in the page; config.json has all of them
HERE = Path(__file__).resolve().parent

_CAPITALISED = {name: title[0].upper() + title[1:] for name, title in CONFIDENCE_TITLES.items()}


def write_report(folder: Path) -> Path:
    """Writes `report.html` into a run folder and returns its path.

    Reads summary.json, records.jsonl, figures/*.png and, if there is one, cascade.json, nothing else. A page that lacks
    a figure says so. Raises UserError if the summary is missing, if one of the JSON files is of another shape, or if a
    line of the records is no record.
    """
    path = folder / "summary.json"
    summary = read_summary(path)
    cascade = _cascade_parts(folder)
    records = embed_records(folder / "records.jsonl", MAX_EMBEDDED_BYTES)
    with summary_errors_told(path):
        wanted, answer = figures_of(summary), answer_paragraphs(summary)
    figures, damaged_figures = read_figures(folder / "figures", wanted)
    style, script = _text_of("page.css"), _text_of("page.js", "enlarge.js")
    parts = page_environment(HERE).get_template("page.html").stream(
        summary=summary,
        records=records,
        answer=answer,
        compares_ratios=compares_ratios(summary),
        figures=figures,
        n_missing_figures=len(wanted) - len(figures) - len(damaged_figures),
        damaged_figures=damaged_figures,
        cascade=cascade,
        confidence_titles=_CAPITALISED,
        max_listed_rows=MAX_LISTED_ROWS,
        max_embedded_bytes=MAX_EMBEDDED_BYTES,
        style=Markup(style),
        script=Markup(script),
        policy=content_security_policy(style, script),
    )
    page = folder / "report.html"
    try:
        # Half a surrogate pair in an id or name has no UTF-8. As a character reference it shows as U+FFFD.
        with (
            summary_errors_told(path),
            written_anew(page, "", encoding="utf-8", errors="xmlcharrefreplace", newline="\n") as file,
        ):
            file.writelines(parts)
    except OSError as error:
        raise UserError(f"{page}: cannot be written ({reason(error)})") from error
    return page


def _text_of(*names: str) -> str:
    """The files beside this one, one behind the other."""
    return "\n".join((HERE / name).read_text(encoding="utf-8").replace("\r\n", "\n") for name in names)


def write_cascade_into_report(folder: Path) -> Path:
    """Puts what `cascade.json` says in its place in `report.html`, without reading the records; returns the path.

    Writes the whole report where there is none, or one of a version that had no such place. Raises UserError.
    """
    path = folder / "report.html"
    try:
        page = path.read_bytes()
    except FileNotFoundError:
        return write_report(folder)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({reason(error)})") from error
    for name, part in _cascade_parts(folder).items():
        before, begins, rest = page.partition(_mark(name, "begin").encode())
        _, ends, after = rest.partition(_mark(name, "end").encode())
        if not begins or not ends:
            return write_report(folder)
        page = before + part.encode("utf-8", "xmlcharrefreplace") + after
    try:
        with written_anew(path) as file:
            file.write(page)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({reason(error)})") from error
    return path


def content_security_policy(style: str, script: str) -> str:
    """Allows this style, this script and embedded images, and nothing else: no network, no other code."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}';"
        " base-uri 'none'; form-action 'none'"
    )


def _cascade_parts(folder: Path) -> dict[str, Markup]:
    """What the page says of a cascade that ends in this run, in its marks: `link` and `section`; empty without one."""
    parts, content = {"link": "", "section": ""}, read_cascade(folder)
    if content is not None:
        figures, _ = read_figures(folder / "figures", [CASCADE_FIGURE])
        with cascade_errors_told(folder):
            section = page_environment(HERE).get_template("cascade.html").render(cascade=content, figures=figures)
        parts = {"link": '<li><a href="#cascade">Cascade</a></li>', "section": section}
    return {name: Markup(_mark(name, "begin") + text + _mark(name, "end")) for name, text in parts.items()}


def _mark(name: str, end: str) -> str:
    return f"<!-- cascade {name}: {end} -->"  # no text of a record or name can hold it: their < is escaped


def read_figures(folder: Path, wanted: Iterable[ResultFigure]) -> tuple[list[dict], list[str]]:
    """Their PNG files as data URIs with their sizes in pixels, and the names of files that are not PNG."""
    figures, damaged = [], []
    for figure in wanted:
        path = folder / figure.file_name
        if not path.is_file():
            continue
        image = path.read_bytes()
        if not image.startswith(b"\x89PNG\r\n\x1a\n") or len(image) < 24:
            damaged.append(path.name)
            continue
        figures.append({
            "title": figure.title,
            "caption": figure.caption,
            "description": figure.alt,
            "width": int.from_bytes(image[16:20]),  # in the header, which comes first in every PNG
            "height": int.from_bytes(image[20:24]),
            "uri": "data:image/png;base64," + base64.b64encode(image).decode(),
        })
    return figures, damaged


# --- how values are written --------------------------------------------------------------------------------------

NO_VALUE = Markup('<span aria-hidden="true">&ndash;</span><span class="unseen">no value</span>')


@cache
def page_environment(folder: Path) -> Environment:
    """What fills in the templates of a folder: everything is escaped, a name without a value is an error."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": shown_number,
        "whole": shown_whole,
        "interval": shown_interval,
        "ratio": shown_ratio,
        "ratios": lambda ratios: ", ".join(map(shown_ratio, ratios)),
        "letters": letters,
        "criteria": criteria,
        "certified_targets": certified_targets,
        "listed_pairs": lambda pairs: "; ".join(f"{first:g} and {second:g}" for first, second in pairs),
        "short": short_name,
        "setting": shown_setting,
        "thinned": thinned,
        "money": shown_money,
        "embedded": Markup,
        "embedded_json": lambda value: Markup(escaped_json(value)),
    }
    return environment


def shown_number(value: float | None, digits: int = 3, signed: bool = False) -> str:
    """Fixed digits and a true minus sign; a dash for None."""
    if value is None:
        return NO_VALUE
    return _formatted(value, f"{'+' if signed else ''}.{digits}f").replace("-", "\N{MINUS SIGN}")


def shown_whole(value: int | None) -> str:
    """Whole number with commas between thousands; a dash for None."""
    return NO_VALUE if value is None else _formatted(value, ",")


def _formatted(value, specification: str) -> str:
    if isinstance(value, Undefined):
        str(value)  # raises UndefinedError, which names the field; the TypeError of format() does not
    return format(value, specification)


def shown_money(value: float | None) -> str:
    """Four significant digits without an exponent; a dash for None."""
    if value is None:
        return NO_VALUE
    return _formatted(value, ".4g" if value == 0 or abs(value) >= 1e-4 else ".7f").replace("-", "\N{MINUS SIGN}")


def shown_interval(interval: dict | None, signed: bool = False) -> str:
    """`low to high`; a dash between two numbers would look like a minus sign."""
    if interval is None or interval["low"] is None:
        return NO_VALUE
    return f"{shown_number(interval['low'], signed=signed)} to {shown_number(interval['high'], signed=signed)}"


def shown_ratio(ratio: float | None) -> str:
    """The ratio as it was set; `no thinking` for None."""
    return "no thinking" if ratio is None else f"{ratio:g}"


def short_name(name: str) -> str:
    """A hub id as it is; the last part of a local path, whose whole is in the table of settings."""
    return Path(name).name or name if name.startswith(("/", ".", "~")) else name


def shown_setting(value) -> str:
    """A setting as the user types it, lists with commas; JSON for a nested value or a list of long texts."""
    if isinstance(value, list) and not any(isinstance(one, (list, dict)) or "\n" in str(one) for one in value):
        return ", ".join(map(str, value))
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return NO_VALUE if value is None or value == "" else str(value)


def thinned(values: list, at_most: int) -> Iterator:
    """At most that many of the values, evenly spaced, first and last among them."""
    if len(values) <= at_most:
        return iter(values)
    step = (len(values) - 1) / (at_most - 1)
    return (values[round(number * step)] for number in range(at_most))


def letters(position_biases: Iterable[list[dict]]) -> list[str]:
    """The letters that occur in the position bias of any cell, in order."""
    return sorted({entry["letter"] for entries in position_biases for entry in entries})
