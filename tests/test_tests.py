"""The tests' own house: what tests share is a fixture in a conftest.py or a helper in tests/support."""
import ast
from pathlib import Path

TESTS = Path(__file__).resolve().parent


def imported(path):
    """Names of the modules that a file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_test_module_or_conftest_is_imported_by_another():
    files = sorted(TESTS.rglob("*.py"))
    names = {path.stem for path in files if path.stem.startswith("test_")} | {"conftest"}
    assert len(names) > 10
    against = [
        f"{path.relative_to(TESTS)} imports {name}"
        for path in files
        for name in imported(path)
        if names & set(name.split("."))
    ]
    assert against == []


def test_test_modules_have_names_of_their_own():
    """pytest imports them without packages, by their bare names: two of one name would be one module."""
    stems = [path.stem for path in TESTS.rglob("*.py") if path.stem != "conftest"]
    assert sorted(set(stems)) == sorted(stems)
