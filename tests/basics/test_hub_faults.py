"""Loading against a hub on loopback that fails in every way, in another process: the client is set up but once."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_hub import COMMIT

from basics.errors import UserError
from hugging_face_model import HuggingFaceModel
from thinking.prompt_encoder import PromptEncoder
from thinking.sampling import Sampling

ROOT = Path(__file__).resolve().parents[2]
FIXTURES, SUPPORT = ROOT / "tests" / "fixtures", ROOT / "tests" / "support"

_LOAD = """
import json, os, shutil, sys, time
from pathlib import Path
from loopback_hub import loopback_hub
folders, cases = json.loads(sys.argv[1]), json.loads(sys.argv[2])
with loopback_hub({name: Path(folder) for name, folder in folders.items()}) as (hub, address):
    os.environ["HF_ENDPOINT"] = address
    time.sleep = lambda seconds: None  # the client waits 23 s between its tries
    from basics import hub_faults
    from basics.errors import UserError
    from hugging_face_model import HuggingFaceModel
    from thinking.libraries import prepare_libraries
    from thinking.prompt_encoder import PromptEncoder
    from thinking.sampling import Sampling
    from questions.question_sets import load_questions
    prepare_libraries()
    hub_faults.SILENCE = 1
    def load(what):
        try:
            if what == "data":
                return len(load_questions("owner/questions", None, "test").questions)
            encoder = PromptEncoder.load("owner/tiny")
            HuggingFaceModel(encoder, Sampling(1.0, 1.0, 0))
            return encoder.model_fingerprint()
        except UserError as error:
            return str(error)

    for what, hub.fault, hub.only in cases:
        shutil.rmtree(os.environ["HF_HOME"], ignore_errors=True)
        said = load(what)
        hub.fault = None
        print(json.dumps([said, load(what)]))
    hub.fault, hub.only = 500, ""
    print(json.dumps(load("model")))
"""
CASES = [  # (what is loaded, fault, of which files), what is said
    (("model", 401, ""), "the hub denied access (401); log in"),
    (("model", 404, ""), "the hub has no such repository; check the spelling"),
    (("model", "gated", ""), "access is gated; accept the terms at https://huggingface.co/owner/tiny"),
    (("model", 500, ""), "the hub answered with an error (500); try again later"),
    (("model", "silent", ""), "the hub cannot be reached and it is not in the local cache"),
    (("model", "stalls", "model.safetensors"), "the connection to the hub broke off or timed out"),
    (("data", "silent", ""), "the hub cannot be reached and it is not in the local cache"),
    (("model", 404, "config.json"), "the hub has no file '"),
    (("model", "cut", "tokenizer.json"), "the connection to the hub broke off or timed out"),
    (("model", 503, "tokenizer_config.json"), "the hub answered with an error (503)"),
    (("model", "cut", "model.safetensors"), "the connection to the hub broke off or timed out"),
    (("model", 500, "model.safetensors"), "the hub answered with an error (500)"),
    (("model", 404, "model.safetensors"), "the hub has no file 'model.safetensors' (404)"),
    (("data", 500, ""), "the hub answered with an error (500); try again later"),
    (("data", 500, "test.jsonl"), "the hub answered with an error (500)"),
    (("data", "cut", "test.jsonl"), "the connection to the hub broke off or timed out"),
    (("model", "cut", "config.json"), "the connection to the hub broke off or timed out"),
]


@pytest.fixture
def data_folder(tmp_path):
    folder = tmp_path / "questions"
    folder.mkdir()
    shutil.copy(FIXTURES / "mmlu.jsonl", folder / "test.jsonl")
    files = "  data_files:\n  - split: test\n    path: test.jsonl\n"
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n{files}---\n")
    return folder


def test_each_fault_of_the_hub_is_one_line_and_none_is_left_in_the_cache(tiny_folder, data_folder, tmp_path):
    folders = {"owner/tiny": str(tiny_folder), "datasets/owner/questions": str(data_folder)}
    environment = os.environ | {
        "HF_HOME": str(tmp_path / "cache"), "PYTHONPATH": f"{ROOT}:{SUPPORT}", "no_proxy": "127.0.0.1",
        "HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, json.dumps(folders), json.dumps([case for case, _ in CASES])],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *said, from_cache = [json.loads(line) for line in done.stdout.splitlines()]
    for (case, wanted), (found, again) in zip(CASES, said, strict=True):
        assert wanted in str(found), case
        assert "\n" not in found
        setting = "DATASET" if case[0] == "data" else "model_name"
        assert found.startswith(f"{setting} = 'owner/")
        assert again == (2 if case[0] == "data" else f"commit {COMMIT}"), case
    assert from_cache == f"commit {COMMIT}"


_SOCKS = """
import sys
from basics.errors import UserError
from thinking.prompt_encoder import PromptEncoder
from thinking.libraries import prepare_libraries
from questions.question_sets import load_questions
prepare_libraries()
for load in (lambda: PromptEncoder.load("owner/tiny"), lambda: load_questions("owner/questions", None, "test")):
    try:
        load()
    except UserError as error:
        print(error)
"""


def test_a_socks_proxy_without_its_package_is_one_line(tmp_path):
    environment = os.environ | {
        "HF_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT), "ALL_PROXY": "socks5://ada:secret@127.0.0.1:9"
    }  # fmt: skip
    script = "import sys; sys.modules['socksio'] = None\n" + _SOCKS
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=300, check=True
    )
    fault = "ALL_PROXY asks for a SOCKS proxy, which needs one more package: pip install socksio"
    model, data = done.stdout.splitlines()
    assert model == f"model_name = 'owner/tiny': {fault}"
    assert data.startswith("DATASET = 'owner/questions'")
    assert data.endswith(fault)


# --- model folders of strangers --------------------------------------------------------------------------------------


def test_code_in_a_model_folder_is_never_run(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    for name in ("configuration_evil.py", "modeling_evil.py", "tokenization_evil.py"):
        (folder / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["auto_map"] = {"AutoConfig": "configuration_evil.Evil", "AutoModelForCausalLM": "modeling_evil.Evil"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["auto_map"] = {"AutoTokenizer": ["tokenization_evil.Evil", "tokenization_evil.Evil"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    HuggingFaceModel(PromptEncoder.load(str(folder)), Sampling(1.0, 1.0, 0))  # of transformers' own Qwen3 code
    config["model_type"] = "evil"
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UserError, match="model_name"):
        PromptEncoder.load(str(folder))
    assert not (tmp_path / "ran").exists()


class _Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_pickled_weights_are_never_loaded(tiny_folder, tmp_path):
    import pickle

    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Bomb(tmp_path / "ran")))
    with pytest.raises(UserError, match="safetensors"):
        HuggingFaceModel(PromptEncoder.load(str(folder)), Sampling(1.0, 1.0, 0))
    assert not (tmp_path / "ran").exists()
