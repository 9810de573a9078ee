import errno
import json
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from basics.errors import UserError
from basics.files import write_json
from basics.strict_json import canonical_json
from runs.budgets import make_cells
from runs.journal import Journal, only_writer_of, process_journal, read_records
from runs.results_folder import (
    check_inputs_unchanged,
    check_no_writer,
    check_writable,
    earlier_processes,
    only_writer,
    read_config,
    run_name,
)

CELLS = [(100, 0.0), (100, 0.5), (0, None)]


def record(question_id, permutation, thought, cell):
    return {
        "question_id": question_id,
        "permutation": permutation,
        "thought": thought,
        "total_budget": cell[0],
        "answer_thinking_ratio": cell[1],
        "thinking": "a\nb\u2028\x85c",
    }


KEYS = [("one/two\n", 0, 0), ("é", 1, 2)]
UNITS = [[record(*key, cell) for cell in CELLS] for key in KEYS]


def open_journal(path):
    return Journal(path, set(KEYS), CELLS)


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
    journal = open_journal(path)
    journal.append(UNITS[:1])
    journal.append(UNITS[1:])
    assert list(read_records(path)) == UNITS[0] + UNITS[1]
    assert open_journal(path).finished.ids == set(KEYS)


def test_a_journal_cut_at_any_byte_keeps_its_complete_units(tmp_path):
    path = tmp_path / "records.jsonl"
    open_journal(path).append(UNITS)
    whole = path.read_bytes()
    first_unit = b"".join(whole.splitlines(keepends=True)[:3])
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        journal = open_journal(path)
        kept = 1 if length >= len(first_unit) else 0
        assert len(journal.finished.ids) == kept
        assert path.read_bytes() == (first_unit if kept else b"")
    journal.append(UNITS[1:])
    assert path.read_bytes() == whole


def test_damage_that_is_not_a_torn_end_is_refused_and_nothing_is_thrown_away(tmp_path):
    path = tmp_path / "records.jsonl"
    open_journal(path).append(UNITS)
    lines = path.read_bytes().splitlines(keepends=True)
    foreign = canonical_json(record("not ours", 0, 0, CELLS[0])).encode() + b"\n"
    for damaged, words in (
        ([lines[0], b"\xff" + lines[1], *lines[2:]], "line 2 is no record"),
        ([lines[0], b"[1]\n", *lines[2:]], "line 2 is no record"),
        ([lines[0], b"{}\n", *lines[2:]], "line 2 does not belong"),
        ([lines[0], b"[" * 100_000 + b"\n", *lines[2:]], "line 2 is no record"),
        ([lines[0].replace(b"0.0", b"NaN"), *lines[1:]], "line 1 is no record"),
        ([b'{"question_id": [], "permutation": {}, "total_budget": 100}\n', *lines[1:]], "line 1 does not belong"),
        ([*lines, *lines[:3]], "line 7 is there twice"),
        ([*lines, foreign], "line 7 does not belong"),
        ([lines[1], lines[0], *lines[2:]], "line 1 does not belong"),
        ([*lines[:2], *lines[3:]], "line 3 does not belong"),
    ):
        path.write_bytes(b"".join(damaged))
        with pytest.raises(UserError, match=words):
            open_journal(path)
        assert path.read_bytes() == b"".join(damaged)


def test_a_journal_counts_records_with_an_error_per_unit(tmp_path):
    broken = [dict(one, error="logits not finite") if one["total_budget"] else one for one in UNITS[0]]
    journal = open_journal(tmp_path / "records.jsonl")
    journal.append([broken, UNITS[1]])
    assert journal.finished.with_errors == open_journal(journal.path).finished.with_errors == {KEYS[0]: 2}


def test_units_are_appended_in_one_write(tmp_path, monkeypatch):
    journal, flushed = open_journal(tmp_path / "records.jsonl"), []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.fstat(descriptor).st_size))
    journal.append(UNITS)
    assert flushed == [(tmp_path / "records.jsonl").stat().st_size]
    assert flushed[0] > 0


@contextmanager
def no_file_larger_than(size):
    """Fails like a full disk. Around single writes only: the test runner's own output may be a file too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_leaves_the_journal_as_it_was_and_works_once_there_is_room(tmp_path):
    journal = open_journal(tmp_path / "records.jsonl")
    journal.append(UNITS[:1])
    whole = journal.path.read_bytes()
    refused = pytest.raises(UserError, match=r"records\.jsonl: cannot be written \(File too large\)")
    with refused, no_file_larger_than(len(whole) + 50):
        journal.append(UNITS[1:])
    assert journal.path.read_bytes() == whole
    assert journal.finished.ids == {KEYS[0]}
    journal.append(UNITS[1:])
    assert list(read_records(journal.path)) == UNITS[0] + UNITS[1]


def test_json_that_cannot_be_written_leaves_what_was_there(tmp_path):
    path = tmp_path / "summary.json"
    write_json(path, {"value": 1})
    refused = pytest.raises(UserError, match=r"summary\.json: cannot be written \(File too large\)")
    with refused, no_file_larger_than(100):
        write_json(path, {"value": "x" * 1000})
    assert json.loads(path.read_text(encoding="utf-8")) == {"value": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["summary.json"]


def test_a_flush_that_fails_is_a_write_that_fails(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    journal = open_journal(tmp_path / "records.jsonl")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match="No space left on device"):
        journal.append(UNITS)
    assert journal.path.read_bytes() == b""
    assert journal.finished.ids == set()


IDENTITY = {"questions": "a", "model": "b", "tokenizer": "c", "seed": 1}
SETTINGS = {"model_name": "m", "DATASET": "d", "DATASET_CONFIG": "", "DATASET_SPLIT": "test"}


def write_config(folder, identity=IDENTITY, settings=SETTINGS):
    folder.mkdir(parents=True)
    config = {"settings": settings, "identity": identity, "questions": {}, "processes": ["first"]}
    write_json(folder / "config.json", config)
    return folder


def test_a_run_folder_of_another_run_is_refused_naming_what_differs(tmp_path):
    folder = write_config(tmp_path / "run")
    assert earlier_processes(folder, IDENTITY) == ["first"]
    assert earlier_processes(tmp_path / "none", IDENTITY) == []
    with pytest.raises(UserError, match="with other questions, seed; move the folder away"):
        earlier_processes(folder, IDENTITY | {"questions": "z", "seed": 2})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"settings": {}}', b"\xff", b"[" * 100_000])
def test_a_broken_config_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UserError, match=r"config\.json: it is no config\.json of a run"):
        read_config(tmp_path)


@pytest.mark.parametrize(("part", "setting"), [("questions", "DATASET"), ("model", "model_name")])
def test_an_unfinished_run_whose_input_changed_is_not_left_behind(tmp_path, part, setting):
    old = write_config(tmp_path / "old")
    new, changed = tmp_path / "new", IDENTITY | {part: "changed"}
    words = f"{setting} = .* the content .{part}. is not what the unfinished run .*old began"
    with pytest.raises(UserError, match=words):
        check_inputs_unchanged(new, SETTINGS, changed)
    (old / "summary.json").write_text("{}")
    assert "the finished run old had" in check_inputs_unchanged(new, SETTINGS, changed)
    assert check_inputs_unchanged(new, SETTINGS, IDENTITY) is None
    assert check_inputs_unchanged(new, SETTINGS, changed | {"seed": 2}) is None  # another experiment
    assert check_inputs_unchanged(new, SETTINGS | {setting: "another"}, changed) is None


def test_a_run_folder_has_one_writer_and_a_lock_ends_with_its_process(tmp_path):
    folder = tmp_path / "run"
    script = "import sys, time; from pathlib import Path; from runs.results_folder import only_writer\n"
    script += "with only_writer(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {holder.pid} on "), only_writer(folder):
            pass
        with pytest.raises(UserError, match=f"process {holder.pid} on "):
            check_no_writer(folder)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    check_no_writer(folder)
    with only_writer(folder):
        assert f"process {os.getpid()} " in (folder / "lock").read_text(encoding="utf-8")


def test_a_run_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="run folder"), only_writer(tmp_path / "run"):
        pass


def test_json_is_strict_and_never_half_written(tmp_path):
    path = tmp_path / "summary.json"
    write_json(path, {"value": None})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"value": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8")) == {"value": None}


def test_json_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """Else a power cut leaves an empty file under the name of a whole one."""
    path, flushed = tmp_path / "summary.json", []
    monkeypatch.setattr(os, "fsync", lambda file: flushed.append((os.fstat(file).st_size, path.exists())))
    write_json(path, {"value": 1})
    assert flushed == [(path.stat().st_size, False)]


LINK = "it is a symbolic link, and nothing is written through one"


@pytest.fixture
def planted(tmp_path):
    """Makes a file outside the run folder and links to it; returns the file, which must stay as it is."""
    (tmp_path / "run").mkdir()

    def plant(*names):
        victim = tmp_path / "victim"
        victim.write_text("precious")
        for name in names:
            (tmp_path / "run" / name).symlink_to(victim)
        return victim

    return plant


def test_a_link_to_a_file_is_never_written_through(planted, tmp_path):
    victim, run = planted("records.jsonl", "lock", "records.process-1.jsonl"), tmp_path / "run"
    with pytest.raises(UserError, match=f"records.jsonl: {LINK}"):
        open_journal(run / "records.jsonl")
    with pytest.raises(UserError, match=rf"lock: cannot be locked or written \({LINK}\)"), only_writer(run):
        pass
    with pytest.raises(UserError, match=f"records.process-1.jsonl: {LINK}"), only_writer_of(process_journal(run, 1)):
        pass
    assert victim.read_text() == "precious"


def test_a_link_put_in_place_of_an_open_journal_is_never_written_through(planted, tmp_path):
    journal = open_journal(tmp_path / "records.jsonl")
    journal.path.unlink()
    victim = planted()
    journal.path.symlink_to(victim)
    with pytest.raises(UserError, match=rf"records.jsonl: cannot be written \({LINK}\)"):
        journal.append(UNITS)
    assert victim.read_text() == "precious"


def test_links_under_the_names_of_whole_files_give_way(planted, tmp_path):
    victim, path = planted("config.json", "config.json.tmp"), tmp_path / "run" / "config.json"
    write_json(path, {"value": 1})
    assert json.loads(path.read_text(encoding="utf-8")) == {"value": 1}
    assert not path.is_symlink()
    assert victim.read_text() == "precious"


def test_a_link_planted_while_a_file_is_written_anew_is_refused(planted, tmp_path, monkeypatch):
    victim, path = planted("summary.json.tmp"), tmp_path / "run" / "summary.json"
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # it comes back at once
    with pytest.raises(UserError, match=r"summary.json: cannot be written \(File exists\)"):
        write_json(path, {"value": 1})
    assert victim.read_text() == "precious"


def test_a_run_folder_that_is_a_link_is_refused_and_a_save_dir_may_be_one(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "elsewhere")
    save_dir = check_writable(str(tmp_path / "results"))
    with only_writer(save_dir / "run"):
        pass
    assert (tmp_path / "elsewhere" / "run" / "lock").exists()
    (save_dir / "linked").symlink_to(tmp_path / "elsewhere" / "run")
    words = rf"linked: cannot be used as run folder \({LINK}\)"
    with pytest.raises(UserError, match=words), only_writer(save_dir / "linked"):
        pass


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="SAVE_DIR"):
        check_writable(str(tmp_path / "file" / "results"))
    assert check_writable(str(tmp_path / "new" / "results")).is_dir()
