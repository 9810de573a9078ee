"""From `records.jsonl` to `summary.json`: what of the settings belongs to the summary alone, and may change later."""
from pathlib import Path

from basics.errors import UserError
from basics.files import write_json
from evaluation_tool import check_caps, summarise
from runs.journal import read_records
from runs.results_folder import SUMMARY_FIELDS, read_config, read_summary


def write_summary(folder: Path, config: dict) -> dict:
    """Writes `summary.json` of the records in a run folder; returns it. config: what `config.json` holds."""
    settings = config["settings"]
    records = map(check_caps, read_records(folder / "records.jsonl"))
    asked = {field: settings[name] for name, field in SUMMARY_FIELDS.items()}
    summary = summarise(records, seed=settings["SEED"], **asked) | {"run": config}
    write_json(folder / "summary.json", summary)
    return summary


def summarise_as(folder: Path, summary: dict, seed: int) -> dict:
    """The summary that the records of a run folder give with the settings of `summary`; nothing is written.

    A summary of an earlier version lacks some of the settings: it is made without what they ask for. Raises KeyError if
    there is no target_error.
    """
    values = {field: summary[field] for field in SUMMARY_FIELDS.values() if field in summary}
    values["target_error"] = summary["target_error"]
    return summarise(read_records(folder / "records.jsonl"), seed=seed, **values)


def resummarise(folder: Path, changes: dict, otherwise: dict) -> None:
    """Writes `summary.json` anew with other settings of the summary, and `config.json` so that the two agree.

    changes: the settings to change, by name; otherwise: values for a run of a version that had no such setting. Raises
    UserError if the run is not finished.
    """
    read_summary(folder / "summary.json")
    config = read_config(folder)
    if config is None:
        raise UserError(f"{folder / 'config.json'}: not found; name the folder of a finished run")
    config["settings"] = {name: otherwise[name] for name in SUMMARY_FIELDS} | config["settings"] | changes
    write_json(folder / "config.json", config)
    write_summary(folder, config)
