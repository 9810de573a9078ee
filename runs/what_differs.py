"""What decides the records and is not the same in all runs, in words, from the identities in their `config.json`."""
from pathlib import Path

from basics.strict_json import canonical_json

_CAUSES = {  # what brings several parts with it -> these parts
    "engine": {"engine", "dtype", "device_type"},
    "model": {"model", "tokenizer", "chat_frame", "closings"},
}
_NOT_SAID = {"n_questions", "cells"}  # the questions say the one; cells are compared one by one


def what_differs(configs: list[dict]) -> list[dict]:
    """Per part of the identity that differs its `name` and, run by run, its `values` in words."""
    identities = [config["identity"] for config in configs]
    names = dict.fromkeys(name for identity in identities for name in identity if name not in _NOT_SAID)
    return [
        {"name": _said_name(name, identities), "values": _values(name, configs)}
        for name in names
        if len({canonical_json(identity.get(name)) for identity in identities}) > 1
    ]


def difference_words(differing: list[dict]) -> str:
    """`What differs between these runs: temperature 0.6 / 1.0, and nothing else.`"""
    listed = "; ".join(f"{one['name']} {' / '.join(one['values'])}" for one in differing)
    if not differing:
        return "Nothing that decides a record differs between these runs."
    if len(differing) == 1:
        return f"What differs between these runs: {listed}, and nothing else."
    if cause := one_cause([one["name"] for one in differing]):
        return f"What differs between these runs: nothing but the {cause} ({listed})."
    return f"What differs between these runs: {listed}."


def one_cause(names: list[str]) -> str | None:
    """What alone makes these parts differ: the only one of them, the engine or the model; None if there is more."""
    if len(names) == 1:
        return names[0]
    return next((cause for cause, parts in _CAUSES.items() if parts >= set(names)), None)


def _said_name(name: str, identities: list[dict]) -> str:
    """The name of the part; of prompts, those that differ too."""
    parts = [identity.get(name) for identity in identities]
    if name != "prompts" or not all(isinstance(one, dict) for one in parts):
        return name
    names = dict.fromkeys(inner for one in parts for inner in one)
    differ = [inner for inner in names if len({canonical_json(one.get(inner)) for one in parts}) > 1]
    return f"{name} ({', '.join(differ)})"


def _values(name: str, configs: list[dict]) -> list[str]:
    """A value per run in words; what no line can show, as hashes and prompts, has a letter per content."""
    contents = [canonical_json(config["identity"].get(name)) for config in configs]
    letters = {content: chr(ord("A") + place) for place, content in enumerate(dict.fromkeys(contents))}
    said = [_said(name, config) for config in configs]
    tells_apart = len(set(zip(said, contents, strict=True))) == len(set(said)) and None not in said
    if tells_apart:
        return said
    return [f"{text or ''} (content {letters[content]})".strip() for text, content in zip(said, contents, strict=True)]


def _said(name: str, config: dict) -> str | None:
    settings, value = config["settings"], config["identity"].get(name)
    if name == "model":
        return _short(settings.get("model_name"))
    if name == "questions":
        return f"{config['questions'].get('used')} of {_short(settings.get('DATASET'))}"
    if name == "engine":
        return "transformers" if value is None else canonical_json(value)
    if value is None:  # of another version, or an engine that does not say
        return "-"
    is_hash = isinstance(value, str) and len(value) == 64
    return str(value) if isinstance(value, (int, float, str)) and not is_hash else None


def _short(name: object) -> str:
    """A hub id as it is, the last part of a local path."""
    text = str(name)
    return Path(text).name if text.startswith(("/", ".", "~")) else text
