"""The files of a model, in a folder or on the hub: which there are, and which name or folder holds no model."""
import json
import re
from pathlib import Path

from basics.errors import UserError

SMALL_FILES = ["*.json", "*.jinja", "*.txt", "*.model"]  # all of a model but its weights


def check_name(model_name: str, folder: Path) -> None:
    """Raises UserError unless the name is a folder with a model or a hub id."""
    looks_local = folder.is_absolute() or model_name.startswith(".") or model_name.count("/") > 1
    if looks_local and not folder.is_dir():
        found = "it is a file, not the folder of a model" if folder.is_file() else "no such folder"
        raise UserError(f"model_name = {model_name!r}: {found}")
    if folder.is_dir():
        check_no_adapter(model_name, folder)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise UserError(f"model_name = {model_name!r}: the folder holds no model (no config.json)")
    if not folder.is_dir() and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model_name):
        raise UserError(f"model_name = {model_name!r}: neither a folder nor a hub id (owner/name)")


def check_no_adapter(model_name: str, folder: Path) -> None:
    """Raises UserError if an adapter lies there: beside a base model it would be ignored, alone it is no model."""
    path = folder / "adapter_config.json"
    if not path.is_file():
        return
    try:
        base = json.loads(path.read_bytes()).get("base_model_name_or_path")
    except (ValueError, AttributeError, RecursionError):  # it need not be readable to be refused
        base = None
    of_model = f" for {base!r}"[:200] if isinstance(base, str) and base else ""
    raise UserError(
        f"model_name = {model_name!r}: it holds an adapter{of_model} (adapter_config.json); merge it into its model"
        " (merge_and_unload of the library peft) and name the folder where the merged model is saved"
    )


def weight_files(folder: Path) -> list[str]:
    """Names of the safetensors files with the weights: one file, or those in the index."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return ["model.safetensors"]
    return sorted(set(json.loads(index.read_text(encoding="utf-8")).get("weight_map", {}).values()))


def hub_page(model_name: str) -> str:
    """Address of a model on the hub, where its terms are accepted."""
    return f"https://huggingface.co/{model_name}"


def unusable(what: str, error: BaseException) -> str:
    """One line: files of a model cannot be used, and what transformers or torch says about them."""
    return f"{what} cannot be used ({type(error).__name__}: {' '.join(str(error).split())[:300]})"
