from benchmarks import benchmark_cascade


def test_made_up_runs_are_read_and_searched(capsys):
    sizes = ["--n-questions", "40", "--n-permutations", "1", "--total-budgets", "100", "--ratios", "0", "0.5"]
    assert benchmark_cascade.main(sizes) == 0
    printed = capsys.readouterr().out
    assert "an edge of 1 cell and a cloud of 2" in printed
    assert "reading: " in printed and "search, halves and intervals: " in printed
