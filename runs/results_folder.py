"""A run on disk: its name, `config.json` and `summary.json`, and the lock of its only writer."""
import fcntl
import os
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from basics.errors import UserError
from basics.files import make_folder, open_own, reason
from basics.strict_json import canonical_json, sha256_of, strict_json
from scoring.fields import text_names
from scoring.summary_schema import CELL_FIELDS

# Of records.jsonl and summary.json, and of the rules behind a record that no text shows: which questions are drawn, the
# orders of their options, what the randomness of a thought is a function of, sampling. Part of the run name.
SCHEMA_VERSION = 4


def run_name(model_name: str, dataset: str, cells: list, identity: dict) -> str:
    """A readable slug and the hash of everything that decides the records."""
    budgets = sorted({cell.total_budget for cell in cells})
    ratios = sorted({cell.answer_thinking_ratio for cell in cells if cell.answer_thinking_ratio is not None})
    words = [_slug(Path(model_name).name), _slug(Path(dataset).stem), "b" + _joined(budgets)]
    if ratios:
        words.append("r" + _joined(ratios))
    return "_".join(words) + "_" + sha256_of(identity)[:12]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")[:40] or "unnamed"


def _joined(numbers) -> str:
    if len(numbers) > 5:
        return f"{numbers[0]:g}-to-{numbers[-1]:g}"
    return "-".join(f"{number:g}" for number in numbers)


def check_writable(save_dir: str) -> Path:
    """The folder, made if missing. Raises UserError if nothing can be written there."""
    folder = Path(save_dir).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"SAVE_DIR {save_dir}: cannot be written to ({error.strerror}); name a folder that can"
        ) from error
    return folder


def run_folders(folder: Path) -> list[Path]:
    """The folder itself if it is a run folder, then the run folders in it by name.

    A folder that nobody may look into counts as one: whoever reads it says why it cannot.
    """
    candidates = [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]
    return [path for path in candidates if _holds_results(path)]


def _holds_results(folder: Path) -> bool:
    try:
        return (folder / "config.json").exists() or (folder / "records.jsonl").exists()
    except PermissionError:
        return True


# Fields of a cell that hold texts; whatever else stands there is a number, a truth value or null.
_WORDS = text_names(CELL_FIELDS)


def read_summary(path: Path) -> dict:
    """A `summary.json`, with numbers where numbers belong. Raises UserError if it is missing or none."""
    try:
        summary = strict_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: not found; name the folder of a finished run") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: is not JSON ({error}); start the run again to write it anew") from error
    if not isinstance(summary, dict) or not isinstance(summary.get("cells"), list):
        raise UserError(f"{path}: is no summary of a run, it has no list of cells")
    parts = {name: summary[name] for name in ("target_error", "cells", "saturation") if name in summary}
    for place, text in _texts(parts, ""):
        raise UserError(f"{path}: {place} is {text[:40]!r}, where a number belongs; the run's own command mends it")
    return summary


def _texts(value, place: str) -> Iterator[tuple[str, str]]:
    """(place, text) of every text but those of _WORDS."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if not (name in _WORDS and isinstance(inner, str)):
                yield from _texts(inner, f"{place}.{name}".lstrip("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{place}[{index}]")


# Settings that belong to the summary alone, and its fields that hold them: they may change, the records stay.
SUMMARY_FIELDS = {
    "TARGET_ERROR": "target_error",
    "CONFIDENCE": "headline_confidence",
    "WRONG_ANSWER_COSTS": "wrong_answer_costs",
    "SMALLEST_DIFFERENCE": "smallest_difference",
}


def other_summary_settings(folder: Path, settings: dict) -> str | None:
    """A line if the summary in a run folder was made with other settings than the one that will take its place."""
    try:
        before = strict_json((folder / "summary.json").read_bytes())
        changed = [
            f"{name} is {_as_typed(settings[name])}, in the summary that is there it is {_as_typed(before[field])}"
            for name, field in SUMMARY_FIELDS.items()
            if field in before and before[field] != settings[name]
        ]
    except (OSError, ValueError, TypeError):  # none is there, or none that can be read
        return None
    if not changed:
        return None
    return f"{'; '.join(changed)}: summary.json, figures and report.html are written anew; the records stay"


def _as_typed(value) -> str:
    values = value if isinstance(value, list) else [value]
    return " ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in values)


# --- One run among others ------------------------------------------------------------------------------------------

# What a setting only names: the same name may stand for other content tomorrow.
_INPUTS = {"questions": "DATASET", "model": "model_name", "tokenizer": "model_name", "chat_frame": "model_name"}
_NAMES = ("model_name", "DATASET", "DATASET_CONFIG", "DATASET_SPLIT")


def read_config(folder: Path) -> dict | None:
    """`config.json` of a run folder, None if it has none. Raises UserError if it is not one."""
    path = folder / "config.json"
    try:
        config = strict_json(path.read_bytes())
        kinds = {"settings": dict, "identity": dict, "questions": dict, "processes": list}
        if all(isinstance(config[name], kind) for name, kind in kinds.items()):
            return config
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError):  # no JSON, or JSON of another shape
        pass
    raise UserError(f"{path}: it is no config.json of a run; mend it or move the folder away, nothing was changed")


def other_version(config: dict) -> str | None:
    """That another version of the program made the run, in words; None if it was this one. Raises KeyError."""
    version = config["identity"]["schema_version"]
    if version == SCHEMA_VERSION:
        return None
    return f"another version of the program made it (schema version {version}, this one reads {SCHEMA_VERSION})"


def earlier_processes(folder: Path, identity: dict) -> list[dict]:
    """Entries of the processes that worked on the run before. Raises UserError if it is another run's folder."""
    config = read_config(folder)
    if config is None:
        return []
    if canonical_json(config["identity"]) != canonical_json(identity):
        parts = ", ".join(name for name in identity if _differs(name, config["identity"], identity))
        raise UserError(
            f"{folder}: its config.json is of a run with other {parts or 'parts'}; move the folder away, nothing was"
            " changed"
        )
    return config["processes"]


def check_inputs_unchanged(folder: Path, settings: dict, identity: dict) -> str | None:
    """Raises UserError if a run that stands unfinished beside the folder began with other content of the same names.

    Returns a line if only finished ones did, else None. The same names are those of data set and model; the content
    is told by its fingerprint.
    """
    remark = None
    for path in sorted(folder.parent.glob("*/config.json")):
        try:
            other = read_config(path.parent)
        except UserError:  # its own run will be told
            continue
        changed = other and _changed_inputs(other, settings, identity)
        if not changed:
            continue
        names = " and ".join(sorted({f"{_INPUTS[part]} = {settings[_INPUTS[part]]!r}" for part in changed}))
        what = f"{names}: the content ({', '.join(changed)}) is not what"
        if not (path.parent / "summary.json").exists():
            raise UserError(
                f"{what} the unfinished run {path.parent} began with; put it back to go on with that run, or move its"
                " folder away to begin anew"
            )
        remark = f"{what} the finished run {path.parent.name} had: this is a run of its own."
    return remark


def _changed_inputs(other: dict, settings: dict, identity: dict) -> list[str]:
    """Parts of the identity that changed, if nothing but inputs did and they have the same names; else none."""
    if any(other["settings"].get(name) != settings[name] for name in _NAMES):
        return []
    differing = [name for name in identity if _differs(name, other["identity"], identity)]
    return differing if _INPUTS.keys() >= set(differing) else []


def _differs(name: str, identity: dict, other: dict) -> bool:
    return canonical_json(identity.get(name)) != canonical_json(other.get(name))


# --- One writer ----------------------------------------------------------------------------------------------------


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Makes the run folder and holds it for this process. Raises UserError if it cannot, naming who holds it.

    The lock is the operating system's, so that of a process that died is gone with it.
    """
    try:
        make_folder(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be used as run folder ({reason(error)}); move it away") from error
    try:
        lock = open_own(folder / "lock", "ab")
    except OSError as error:
        raise _cannot_lock(folder, error) from error
    with lock:
        _take(lock, folder)
        yield


def _take(lock, folder):
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    except BlockingIOError:
        raise _held_by_another(folder) from None
    except OSError as error:
        raise _cannot_lock(folder, error) from error


def _cannot_lock(folder, error):
    return UserError(f"{folder / 'lock'}: cannot be locked or written ({reason(error)})")


def check_no_writer(folder: Path) -> None:
    """Raises UserError if a process writes to the run folder, naming it. Changes nothing there."""
    try:
        with open(folder / "lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _held_by_another(folder) from None
    except OSError:  # no lock file, or a disk that knows no locks: nobody can be seen writing
        return


def _held_by_another(folder: Path) -> UserError:
    holder = " ".join((folder / "lock").read_text(encoding="utf-8", errors="replace").split())
    return UserError(f"{folder}: another run is writing there ({holder or 'just started'}); wait for it")
