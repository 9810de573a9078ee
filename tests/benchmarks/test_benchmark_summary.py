from benchmarks import benchmark_summary


def test_made_up_records_go_all_the_way_to_a_report(capsys):
    sizes = ["--n-questions", "6", "--n-permutations", "2", "--total-budgets", "100", "--ratios", "0", "0.5"]
    assert benchmark_summary.main(sizes) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("24 records, ")
    assert "parsing" in printed and "peak memory" in printed and "report" in printed
