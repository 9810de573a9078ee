"""Which commit a result names: that of the program's own repository, and no other."""
import os
import subprocess

import pytest

from runs import provenance


def git(folder, *arguments):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    identity = ["-c", "user.name=someone", "-c", "user.email=someone@example.org"]
    said = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return said.stdout.strip()


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A folder with a program of ours in it, which provenance takes for its own."""
    folder = tmp_path / "outside" / "program"
    folder.mkdir(parents=True)
    (folder / "run_experiment.py").write_text("pass\n", encoding="utf-8")
    monkeypatch.setattr(provenance, "HERE", folder)
    return folder


def commit_all(folder):
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "all of it")
    return git(folder, "rev-parse", "HEAD")


def test_the_commit_is_that_of_the_programs_repository_and_says_what_was_changed(program):
    commit = commit_all(program)
    assert provenance.git_commit() == commit
    (program / "run_experiment.py").write_text("raise\n", encoding="utf-8")
    assert provenance.git_commit() == f"{commit}-dirty"


def test_a_copy_inside_another_repository_has_no_commit(program):
    commit_all(program.parent)  # even where that repository holds the copy
    assert provenance.git_commit() is None


def test_a_repository_around_the_program_that_does_not_hold_it_has_no_commit(program):
    (program / "notes.txt").write_text("mine", encoding="utf-8")
    (program / ".gitignore").write_text("*.py\n", encoding="utf-8")
    commit_all(program)
    assert provenance.git_commit() is None


def test_without_a_repository_there_is_no_commit(program, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(program.parent.parent))
    assert provenance.git_commit() is None


def test_a_repository_that_the_environment_names_is_not_asked(program, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    (other / "run_experiment.py").write_text("pass\n", encoding="utf-8")
    commit_all(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert provenance.git_commit() is None
