"""Finished runs as `--cascade` and `--compare` find them."""
import os
from pathlib import Path

import pytest

from basics.errors import UserError
from runs.finished_runs import common_questions, n_units_wanted, only_run_folder, read_each_record, save_dir_of


def test_the_only_run_in_a_folder_is_found_and_several_are_named(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    assert only_run_folder("--compare", str(tmp_path / "a")) == tmp_path / "a"
    with pytest.raises(UserError, match=r"--compare .*: 2 runs are there; name the folder of one of them \(a, b\)"):
        only_run_folder("--compare", str(tmp_path))
    (tmp_path / "b" / "config.json").unlink()
    assert only_run_folder("--compare", str(tmp_path)) == tmp_path / "a"


def test_the_folder_around_a_run_is_found_from_inside_too(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    assert save_dir_of(Path(os.curdir)) == tmp_path == save_dir_of(tmp_path / "run")


def test_units_count_thoughts_where_the_configuration_knows_them():
    config = {"questions": {"used": 5}, "identity": {"n_permutations": 2}}
    assert n_units_wanted(config) == 10
    config["identity"]["n_thoughts"] = 3
    assert n_units_wanted(config) == 30


def test_a_line_without_an_end_is_missing_and_a_damaged_one_is_named(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n{"a": 3}')
    assert list(read_each_record(path, lambda record: record["a"])) == [1, 2]
    with pytest.raises(UserError, match=r"line 1 is no record of this run \(KeyError: 'b'\)"):
        list(read_each_record(path, lambda record: record["b"]))
    with pytest.raises(UserError, match="cannot be read"):
        list(read_each_record(tmp_path / "none", dict))


def test_questions_are_paired_by_id_and_content():
    contents = [{"a": "1", "b": "2", "c": "3"}, {"b": "2", "c": "other", "d": "4"}]
    common = common_questions("--compare", ["x", "y"], contents)
    assert (common.ids, [list(one) for one in common.indices], common.left_out) == (["b"], [[1], [0]], [2, 2])
    with pytest.raises(UserError, match=r"x and y have no question in common .*; ids in all of them: 1"):
        common_questions("--compare", ["x", "y"], [{"a": "1"}, {"a": "2"}])
