"""From `records.jsonl` to `summary.json`: what of the settings belongs to the summary alone, and may change later."""
from pathlib import Path

from basics.errors import UserError
from basics.files import write_json
from evaluation_tool import check_caps, summarise
from runs.journal import read_records
from runs.results_folder import SUMMARY_FIELDS, other_version, read_config, read_summary


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

    Raises KeyError if it lacks one.
    """
    values = {field: summary[field] for field in SUMMARY_FIELDS.values()}
    return summarise(read_records(folder / "records.jsonl"), seed=seed, **values)


def resummarise(folder: Path, changes: dict) -> None:
    """Writes `summary.json` anew with other settings of the summary, and `config.json` so that the two agree.

    changes: the settings to change, by name. Raises UserError if the run is not finished, or another version made it.
    """
    read_summary(folder / "summary.json")
    config = read_config(folder)
    if config is None:
        raise UserError(f"{folder / 'config.json'}: not found; name the folder of a finished run")
    if told := other_version(config):
        raise UserError(f"{folder}: {told}")
    config["settings"] |= changes
    write_json(folder / "config.json", config)
    write_summary(folder, config)
