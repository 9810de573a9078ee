import json

from benchmarks import benchmark_host


def test_every_part_of_a_run_is_timed(tmp_path):
    output = tmp_path / "host.json"
    assert benchmark_host.main(["--n-questions", "3", "--n-permutations", "2", "--output", str(output)]) == 0
    found = json.loads(output.read_text(encoding="utf-8"))
    assert (found["units"], found["records"]) == (6, 36)
    # A part that is never called has lost its function: the run goes another way.
    assert found["calls"].keys() >= {part for _, _, part in benchmark_host.PARTS}
