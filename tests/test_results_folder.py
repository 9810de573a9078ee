import json

import pytest

from budgets import make_cells
from errors import UserError
from results_folder import Journal, canonical_json, check_writable, read_records, run_name, write_json


def record(question_id, permutation, cell):
    return {"question_id": question_id, "permutation": permutation, "cell": cell, "thinking": "a\nb\u2028\x85c"}


UNITS = [[record("one/two\n", 0, cell) for cell in range(3)], [record("é", 1, cell) for cell in range(3)]]


def test_canonical_json_does_not_depend_on_the_order_of_keys():
    assert canonical_json({"b": [1, 0.5], "a": "é"}) == canonical_json({"a": "é", "b": [1, 0.5]})
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


@pytest.mark.parametrize("name", ["../../etc/passwd", "/", "..", "a b\nc", "Qwen/Qwen3-4B", "x" * 300, "", "日本"])
def test_a_run_name_is_one_harmless_folder_name(name):
    named = run_name(name, name, make_cells([100, 200], [0, 0.5]), {"seed": 1})
    assert "/" not in named
    assert not named.startswith(".")
    assert len(named) < 150
    assert named.isascii()
    assert named.isprintable()


def test_a_run_name_is_readable_and_changes_with_the_identity():
    cells = make_cells([100, 200], [0, 0.5])
    named = run_name("Qwen/Qwen3-4B", "netop/TeleQnA", cells, {"seed": 1})
    assert named.startswith("qwen3-4b_teleqna_b100-200_r0-0.5_")
    assert named != run_name("Qwen/Qwen3-4B", "netop/TeleQnA", cells, {"seed": 2})


def test_a_journal_gives_back_what_was_appended(tmp_path):
    path = tmp_path / "records.jsonl"
    journal = Journal(path, n_cells=3)
    journal.append(UNITS[:1])
    journal.append(UNITS[1:])
    assert list(read_records(path)) == UNITS[0] + UNITS[1]
    assert Journal(path, n_cells=3).finished == {("one/two\n", 0), ("é", 1)}


def test_a_journal_cut_at_any_byte_keeps_its_complete_units(tmp_path):
    path = tmp_path / "records.jsonl"
    Journal(path, n_cells=3).append(UNITS)
    whole = path.read_bytes()
    first_unit = b"".join(whole.splitlines(keepends=True)[:3])
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        journal = Journal(path, n_cells=3)
        kept = 1 if length >= len(first_unit) else 0
        assert len(journal.finished) == kept
        assert path.read_bytes() == (first_unit if kept else b"")
    journal.append(UNITS[1:])
    assert path.read_bytes() == whole


def test_json_is_strict_and_never_half_written(tmp_path):
    path = tmp_path / "summary.json"
    write_json(path, {"value": None})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"value": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8")) == {"value": None}


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="SAVE_DIR"):
        check_writable(str(tmp_path / "file" / "results"))
    assert check_writable(str(tmp_path / "new" / "results")).is_dir()
