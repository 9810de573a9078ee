"""The check for a first GPU, on a CPU: it runs end to end, and says what it could not measure."""
import json

import torch

from benchmarks import gpu_check


def test_all_that_needs_no_cuda_is_measured_and_the_rest_is_null_with_its_reason(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    output = tmp_path / "check.json"
    found = gpu_check.main(["--output", str(output), "--step-rows", "3", "9", "--step-tokens", "16", "70"])
    assert json.loads(output.read_text(encoding="utf-8")) == found
    parts = found["parts"]
    unmeasured = {name: part["reason"] for name, part in parts.items() if part["result"] is None}
    assert unmeasured == dict.fromkeys(("synchronisations", "failed capture"), "needs a CUDA GPU")
    for one in parts["stepping"]["result"].values():
        assert (one["readings"], one["other ids"], one["read again equal"]) == (132, 0, True)
        assert one["largest difference"] < 1e-5
    times, memory = parts["step times"]["result"], parts["memory"]["result"]
    assert [(one["rows"], one["tokens"]) for one in times] == [(3, 16), (3, 70), (9, 16), (9, 70)]
    assert all(one["ms"] > 0 and one["share of the floor"] is None and one["reason"] for one in times)
    assert all((one["measured"] is None) == (one["reason"] is not None) for one in memory)
    for way in ("as run", "copied"):
        assert 0 < parts["projection of read-outs"]["result"][way]["error"] < 1e-5
    ways = parts["ways to a faster step"]["result"]
    assert [(one["rows"], one["tokens"]) for one in ways] == [(3, 16), (3, 70), (9, 16), (9, 70)]
    assert all(one["projections"]["fused"]["error"] < 1e-5 for one in ways)
    assert parts["whole run"]["result"]["in kernels"] is None
    printed = capsys.readouterr().out
    assert printed.startswith("Device: CPU")
    for name in gpu_check.PARTS:
        assert f"\n{name} " in printed


def test_a_part_that_fails_leaves_the_others(monkeypatch):
    def broken(bench):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to ...")

    monkeypatch.setattr(gpu_check, "PARTS", {"one": (broken, False), "other": (lambda bench: {"value": 1}, False)})
    bench = gpu_check.Bench("", "", "cpu", [], [], [])
    assert gpu_check.measure(bench) == {
        "one": {"result": None, "reason": "OutOfMemoryError: CUDA out of memory."},
        "other": {"result": {"value": 1}, "reason": None},
    }


def test_differences_count_other_ids_and_measure_the_rest(tiny_model):
    requests = gpu_check.mixed_requests(8)
    readings = [reading for of_one in tiny_model.read_thoughts(requests) for reading in of_one]
    assert gpu_check.differences(readings, readings) == {"readings": 9, "other ids": 0, "largest difference": 0.0}
    others = [reading for of_one in tiny_model.read_thoughts(requests[1:] + requests[:1]) for reading in of_one]
    found = gpu_check.differences(readings, others[-1:] + others[:-1])
    assert found["largest difference"] < 1e-5
    shifted = gpu_check.differences(readings, readings[1:] + readings[:1])
    assert shifted["other ids"] > 0
