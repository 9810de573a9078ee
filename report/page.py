"""A run folder as one page to open, read and browse: `report.html`, self-contained.

    python report.py RUN_FOLDER        # from summary.json, records.jsonl and figures/*.png alone
"""
from runs import terminal

if __name__ == "__main__":
    terminal.set_up()  # before the imports below, of which one may be missing

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined, UndefinedError
from markupsafe import Markup

from basics.errors import UserError, one_line
from basics.files import reason, written_anew
from basics.strict_json import OTHER_SHAPE
from report.embedded_records import embed_records, escaped_json
from report.figures import FIGURES
from runs.results_folder import read_summary
from runs.settings import OneLineParser

MAX_EMBEDDED_BYTES = 100_000_000  # of records in the page, bytes; a laptop's browser still opens such a page in seconds
MAX_LISTED_ROWS = 200  # skipped rows and notes listed one by one; config.json has all of them
HERE = Path(__file__).resolve().parent

CONFIDENCE_TITLES = {
    "confidence": "Verbalised confidence",
    "confidence_expectation": "Expectation of the verbalised confidence",
    "p_true": "P(True)",
    "answer_probability": "Answer probability",
}

def write_report(folder: Path) -> Path:
    """Writes `report.html` into a run folder and returns its path.

    Reads summary.json, records.jsonl and figures/*.png, nothing else; a page without figures says so. Raises UserError
    in one line if the summary is missing or of another shape, or a line of the records is damaged.
    """
    summary = read_summary(folder / "summary.json")
    records = embed_records(folder / "records.jsonl", MAX_EMBEDDED_BYTES)
    figures, damaged_figures = _figures(folder / "figures")
    style, script = (
        (HERE / name).read_text(encoding="utf-8").replace("\r\n", "\n") for name in ("page.css", "page.js")
    )
    page = _environment().get_template("page.html").stream(
        summary=summary,
        run=summary.get("run") or {},
        records=records,
        figures=figures,
        damaged_figures=damaged_figures,
        confidence_titles=CONFIDENCE_TITLES,
        max_listed_rows=MAX_LISTED_ROWS,
        max_embedded_bytes=MAX_EMBEDDED_BYTES,
        style=Markup(style),
        script=Markup(script),
        policy=content_security_policy(style, script),
    )
    path = folder / "report.html"
    try:
        # Half a surrogate pair in an id or name has no UTF-8; as a character reference it shows as U+FFFD.
        with written_anew(path, "", encoding="utf-8", errors="xmlcharrefreplace", newline="\n") as file:
            file.writelines(page)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({reason(error)})") from error
    except OTHER_SHAPE as error:  # a hand has been at it
        what = f"{type(error).__name__}: {error}"
        raise UserError(
            f"{folder / 'summary.json'}: cannot be shown ({what}); the run's own command mends it"
        ) from error
    except UndefinedError as error:
        raise UserError(
            f"{folder / 'summary.json'}: {error.message}; it was not written by this version of the program"
        ) from error
    return path


def content_security_policy(style: str, script: str) -> str:
    """Allows this very style and script and embedded images, and nothing else: no network, no other code."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}';"
        " base-uri 'none'; form-action 'none'"
    )


def _figures(folder: Path) -> tuple[list[dict], list[str]]:
    """The PNG files as data URIs with their sizes in pixels, and the names of those that are no PNG."""
    figures, damaged = [], []
    for figure in FIGURES:
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
            "width": int.from_bytes(image[16:20]),  # of the header chunk, which comes first in every PNG
            "height": int.from_bytes(image[20:24]),
            "uri": "data:image/png;base64," + base64.b64encode(image).decode(),
        })
    return figures, damaged


# --- how values are written --------------------------------------------------------------------------------------

NO_VALUE = Markup('<span aria-hidden="true">&ndash;</span><span class="unseen">no value</span>')


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE),
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
        "short": short_name,
        "setting": shown_setting,
        "thinned": thinned,
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
        str(value)  # raises UndefinedError with the name; format() would raise a TypeError without it
    return format(value, specification)


def shown_interval(interval: dict | None, signed: bool = False) -> str:
    """`low to high`: a dash between two numbers would read as a minus."""
    if interval is None or interval["low"] is None:
        return NO_VALUE
    return f"{shown_number(interval['low'], signed=signed)} to {shown_number(interval['high'], signed=signed)}"


def shown_ratio(ratio: float | None) -> str:
    """The ratio as it was set; in words where there is none because nothing is thought."""
    return "no thinking" if ratio is None else f"{ratio:g}"


def short_name(name: str) -> str:
    """A hub id as it is; of a local path the last part, the settings table has the whole."""
    return Path(name).name or name if name.startswith(("/", ".", "~")) else name


def shown_setting(value) -> str:
    """A setting as one would type it, lists with commas; anything nested or of several lines as JSON."""
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
    """The letters that the position bias of any cell speaks of, in order."""
    return sorted({entry["letter"] for entries in position_biases for entry in entries})


def main(argv: list[str]) -> int:
    """Rebuilds a report; returns the exit status."""
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_folder", metavar="RUN_FOLDER", help="folder of a finished run")
    try:
        print(write_report(Path(parser.parse_args(argv).run_folder)))
    except UserError as error:
        print(f"report.py: {one_line(str(error))}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
