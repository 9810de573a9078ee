"""Settings: the constants of `run_experiment.py`, the flags generated from them, and their checks."""
import argparse
import ast
import io
import os
import re
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePath
from typing import NoReturn
from urllib.parse import urlsplit

from basics.errors import UserError
from runs.results_folder import SUMMARY_FIELDS
from scoring.record_schema import CONFIDENCE_NAMES


@dataclass(frozen=True)
class Rule:
    """What a setting may be. parse: from the text of a flag, raises ValueError; allowed: in words, for the user.

    is_list: a list sweeps. is_path: it may name a file or folder, so `~` and `$HOME` in it stand for what they name.
    """

    parse: Callable[[str], object]
    kinds: tuple[type, ...]
    is_allowed: Callable[[object], bool]
    allowed: str
    is_list: bool = False
    is_path: bool = False


def _whole(least: int, unit: str, is_list: bool = False, most: int | None = None) -> Rule:
    allowed = f"a whole number of {unit}, {least} {'or more' if most is None else f'to {most:,}'}"
    return Rule(int, (int,), lambda value: value >= least and (most is None or value <= most), allowed, is_list)


def _text(allowed: str, may_be_empty: bool = False, is_path: bool = False) -> Rule:
    return Rule(str, (str,), lambda value: may_be_empty or bool(value.strip()), allowed, is_path=is_path)


def _number(is_allowed: Callable[[float], bool], allowed: str, is_list: bool = False) -> Rule:
    return Rule(_float, (int, float), is_allowed, allowed, is_list)


def _float(text: str | float) -> float:
    return float(text) + 0.0  # -0.0 becomes 0.0: one number must name one run


def _truth(text: str) -> bool:
    if str(text).lower() not in ("true", "false"):
        raise ValueError(text)
    return str(text).lower() == "true"


def _cost(value: object) -> str:
    """A cost as one text per value: `0.5/M` for a million tokens, `2.0` for a question."""
    text = str(value).strip()
    number = float(text.removesuffix("/M"))
    if not 0 <= number < float("inf"):
        raise ValueError(text)
    return repr(number) + ("/M" if text.endswith("/M") else "")


def _is_cost(value: object) -> bool:
    try:
        return bool(_cost(value))
    except ValueError:
        return False


def _is_engine(text: str) -> bool:
    if text in ("transformers", "vllm") or "@" in text:  # a URL with a password is refused where it is not repeated
        return True
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and " " not in text
    except ValueError:  # of the port, or of an address in brackets
        return False


_NEARLY = 0.85  # of difflib's ratio; N_QUESTION has 0.95, N_SEEDS 0.73
DTYPES = ("auto", "bfloat16", "float16", "float32")

RULES = {
    "TOTAL_BUDGET": _whole(0, "thinking tokens", is_list=True, most=1_000_000),
    "ANSWER_THINKING_RATIO": _number(lambda ratio: 0 <= ratio <= 1, "a number from 0.0 to 1.0", is_list=True),
    "CONVENTIONAL_ARM": Rule(_truth, (bool,), lambda value: True, "True or False"),
    "SAVE_DIR": _text("a folder", is_path=True),
    "model_name": _text("a hub id or a local folder", is_path=True),
    "ENGINE": Rule(str, (str,), _is_engine, "'transformers', 'vllm' or the URL of a vLLM server (http://...)"),
    "DTYPE": Rule(str, (str,), lambda name: name in DTYPES, f"one of {', '.join(DTYPES)}"),
    "DATASET": _text("a hub id or a local .json, .jsonl, .csv, .tsv, .parquet or .txt file", is_path=True),
    "DATASET_CONFIG": _text("the name of a configuration, or nothing", may_be_empty=True),
    "DATASET_SPLIT": _text("the name of a split"),
    "N_QUESTIONS": _whole(0, "questions (0 = all)"),
    "N_PERMUTATIONS": _whole(1, "permutations", most=1_000),
    "N_THOUGHTS": _whole(1, "thoughts", most=1_000),
    "TEMPERATURE": _number(lambda temperature: 0 <= temperature <= 10, "a number from 0 (greedy) to 10"),
    "TOP_P": _number(lambda top_p: 0 < top_p <= 1, "a number above 0, at most 1"),
    "TOP_K": _whole(0, "tokens (0 = no top-k)"),
    "BATCH_SIZE": _whole(0, "prompts (0 = as many as fit)"),
    "SEED": Rule(int, (int,), lambda value: value >= 0, "a whole number, 0 or more"),
    "TARGET_ERROR": _number(lambda error: 0 < error < 1, "a number above 0 and below 1"),
    "CASCADE_COSTS": Rule(
        _cost, (str, int, float), _is_cost, "a cost, 0 or more: 0.5/M per million tokens, 2 per question", is_list=True
    ),
    "CONFIDENCE": Rule(str, (str,), lambda name: name in CONFIDENCE_NAMES, f"one of {', '.join(CONFIDENCE_NAMES)}"),
    "WRONG_ANSWER_COSTS": _number(
        lambda cost: 0 < cost <= 1_000_000, "a number above 0, at most 1,000,000", is_list=True
    ),
    "SMALLEST_DIFFERENCE": _number(lambda difference: 0 <= difference < 1, "a number from 0 (none) to below 1"),
}


class OneLineParser(argparse.ArgumentParser):
    """Raises UserError where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        """For argparse alone."""
        raise UserError(f"{message} (see --help)")


def read_settings(
    defaults: dict, demo: dict, help_texts: dict[str, str], description: str, argv: list[str]
) -> dict[str, object]:
    """All settings by name: the constants, overridden by `--demo`, overridden by flags; those that sweep are lists.

    defaults: value per name in RULES; demo: what `--demo` puts in place of some; help_texts: a line for a name. Raises
    UserError with one line that names the setting, the value and what is allowed.
    """
    parser = OneLineParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    missing = RULES.keys() - defaults.keys()
    if missing:
        raise UserError(f"the settings at the top of run_experiment.py lack {', '.join(sorted(missing))}")
    for name, rule in RULES.items():
        parser.add_argument(
            flag_of(name),
            dest=name,
            action="append",
            nargs="+" if rule.is_list else 1,
            metavar=name.upper(),
            help=f"{help_texts.get(name, rule.allowed)} (now {defaults[name]!r})".replace("%", "%%"),
        )
    parser.add_argument(
        "--demo",
        action="store_true",
        help=f"the built-in demo: in place of {', '.join(demo)} it puts values of its own; other flags still override",
    )
    parser.add_argument(DRY_RUN, action="store_true", help=DRY_RUN_HELP)
    for verb, words in VERBS.items():
        parser.add_argument(verb, metavar="RUN" if verb in VERB_SETTINGS else "DIR", nargs="+", help=words)
    parser.add_argument(LOOK, metavar="DATASET", help=LOOK_HELP)
    given = vars(parser.parse_args(argv))
    values = defaults | (demo if given["demo"] else {})
    settings = {}
    for name, rule in RULES.items():
        if given[name] is None:
            settings[name] = _checked(name, values[name], rule)
        elif len(given[name]) > 1:
            raise UserError(f"{flag_of(name)} is given {len(given[name])} times, once is allowed")
        else:
            parsed = [_parsed(flag_of(name), text, rule) for text in given[name][0]]
            settings[name] = _checked(flag_of(name), parsed if rule.is_list else parsed[0], rule)
    return settings


VERBS = {  # what the program does with results instead of a run: flag -> help
    "--check": "check results instead of running: one run folder, several, or a SAVE_DIR; takes no other flag",
    "--redraw": "make figures and report of finished runs again: the same folders; beside it only settings of the"
    " summary, which is then made again too",
    "--cascade": "thresholds and costs of a cascade of finished runs, from the cheapest to the dearest; beside it only"
    " --cascade-costs, --target-error and --seed",
    "--compare": "finished runs side by side, every other one against the first, on the questions that all have; beside"
    " it only --confidence and --seed",
}
VERB_SETTINGS = {  # settings that a verb takes; others: none
    "--redraw": tuple(SUMMARY_FIELDS),
    "--cascade": ("CASCADE_COSTS", "TARGET_ERROR", "SEED"),
    "--compare": ("CONFIDENCE", "SEED"),
}


LOOK = "--look"
LOOK_HELP = (
    "print how a data set is read instead of running: shape, counts, skipped rows with reasons, three questions as the"
    " model will see them; needs no model; beside it --dataset-config, --dataset-split and --seed count"
)


DRY_RUN = "--dry-run"
DRY_RUN_HELP = (
    "print what the run would compute (cells, units, prompts, thinking tokens, memory, time, disk), with means from a"
    " pilot of 20 questions or from runs that hold some of its units, and keep nothing; all settings count"
)


def asked_for_dry_run(argv: list[str]) -> list[str] | None:
    """The flags beside `--dry-run`; None if it is not among them."""
    return [flag for flag in argv if flag != DRY_RUN] if DRY_RUN in argv else None


def asked_to_look(argv: list[str]) -> list[str] | None:
    """The flags with `--look DATASET` as `--dataset DATASET`; None if it is not among them. Raises UserError."""
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    parser.add_argument(LOOK, action="append")
    given, others = parser.parse_known_args(argv)
    if given.look is None or {"-h", "--help"} & set(others):
        return None
    return [*others, *(part for dataset in given.look for part in (flag_of("DATASET"), dataset))]


def asked_of_results(argv: list[str]) -> tuple[str, list[str], list[str]] | None:
    """The verb, the folders behind it and the flags of its settings; None if a run is asked for.

    Raises UserError if another flag is beside it.
    """
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    for verb in VERBS:
        parser.add_argument(verb, nargs="+")
    given, flags = parser.parse_known_args(argv)
    asked = {f"--{name}": folders for name, folders in vars(given).items() if folders}
    if not asked:
        return None
    (verb, folders), *further = asked.items()
    taken = [flag_of(name) for name in VERB_SETTINGS.get(verb, ())]
    has_other = not taken or any(flag.startswith("--") and flag.partition("=")[0] not in taken for flag in flags)
    others = [*(name for name, _ in further), *(flags if has_other else [])]
    if others:
        beside = f"no other flag than {', '.join(taken)}" if taken else "no other flag"
        raise UserError(f"{verb} reads folders of results and takes {beside} ({' '.join(others)})")
    return verb, [_expanded(verb, folder) for folder in folders], flags


def flag_of(name: str) -> str:
    """The flag that overrides a constant: `--total-budget` of `TOTAL_BUDGET`."""
    return "--" + name.lower().replace("_", "-")


def _parsed(shown_name, text, rule):
    try:
        return rule.parse(text)
    except ValueError:
        raise UserError(f"{shown_name} {text}: allowed is {rule.allowed}") from None


def _checked(shown_name, value, rule):
    value = _plain(value)
    values = value if rule.is_list and isinstance(value, list) else [value]
    if not values:
        raise UserError(f"{shown_name} is empty: allowed is {rule.allowed}, or a list of such")
    for one in values:
        fits = isinstance(one, rule.kinds) and isinstance(one, bool) == (bool in rule.kinds)
        if not fits or not rule.is_allowed(one):
            shown = one if isinstance(one, str) and fits and one.strip() else repr(one)
            raise UserError(f"{shown_name} {shown}: allowed is {rule.allowed}")
        if isinstance(one, str) and one.encode("utf-8", errors="replace").decode("utf-8") != one:
            raise UserError(f"{shown_name} {one!r}: it holds bytes that are no text in UTF-8")
    values = [rule.parse(one) for one in values]  # 1 and 1.0 are one setting, so they must name one run
    if rule.is_path:
        values = [_expanded(shown_name, one) for one in values]
    return values if rule.is_list else values[0]


def _plain(value):
    """The value as JSON has it: a path is its text, a range, a tuple or an array a list, a NumPy number a number.

    Whatever else it is stays as it is, for the rule to refuse.
    """
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, (range, tuple, list)):
        return [_plain(one) for one in value]
    return value.tolist() if callable(getattr(value, "tolist", None)) else value  # NumPy's, without importing it


def _expanded(shown_name, text):
    """`~` and environment variables in their full length, as a shell would have it. Raises UserError if there is none.

    A file that has the name as it stands keeps it.
    """
    if os.path.exists(text):
        return text
    expanded = os.path.expanduser(os.path.expandvars(text))
    left = re.search(r"\$(\w+|\{[^}]*\})", expanded) or re.match(r"~[^/]*", expanded)
    if left:
        raise UserError(f"{shown_name} {text}: {left[0]} stands for nothing here; write the path in full")
    return expanded


def check_spelling(source: str) -> None:
    """Raises UserError if a module-level constant has nearly the name of a setting: it would be ignored in silence."""
    for name, setting in misspelt_settings(source).items():
        raise UserError(f"{name} is no setting; the setting is {setting}")


def misspelt_settings(source: str) -> dict[str, str]:
    """Module-level constants that have nearly the name of a setting, and that setting."""
    settings = {name.upper(): name for name in RULES}
    targets = [node.targets for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    names = {target.id for of_one in targets for target in of_one if isinstance(target, ast.Name)} - RULES.keys()
    meant = {name: get_close_matches(name.upper(), settings, 1, _NEARLY) for name in sorted(names)}
    return {name: settings[found[0]] for name, found in meant.items() if found}


def comments_of_constants(source: str) -> dict[str, str]:
    """The comment behind each module-level constant `NAME = value  # comment`, by name."""
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    return {
        node.targets[0].id: comments[node.end_lineno]
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and node.end_lineno in comments
    }
