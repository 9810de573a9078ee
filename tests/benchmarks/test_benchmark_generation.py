import json

from benchmarks import benchmark_generation


def test_every_arm_runs_in_a_cell_and_in_a_sweep(tiny_folder, question_file, tmp_path, capsys):
    output = tmp_path / "table.json"
    arguments = [
        "--model-name", str(tiny_folder), "--dataset", str(question_file), "--questions", "3", "--cell", "8", "0.5",
        "--sweep-questions", "2", "--budgets", "6", "--ratios", "0", "1", "--sweep-arms", "bd", "--batch-sizes", "2",
        "--answer-tokens", "2", "--repetitions", "1", "--threads", "1", "--output", str(output),
    ]  # fmt: skip
    assert benchmark_generation.main(arguments) == 0
    tables = json.loads(output.read_text(encoding="utf-8"))["tables"]
    assert tables["single cell"]["arms"].keys() == set("abcd") and tables["sweep"]["arms"].keys() == set("bd")
    for name in ("single cell", "sweep"):
        (own,) = tables[name]["arms"]["d"]
        assert own["sampled_tokens"] == own["lower_bound_of_sampled_tokens"] > 0
        (batches,) = tables[name]["arms"]["b"]
        assert batches["passes"] > 0
    assert "did not run" not in capsys.readouterr().out
