"""The folders and the arrows between them: who may import whom, as docs/development.md tells it."""
import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FACE = {"run_experiment", "hugging_face_model", "evaluation_tool"}
TOP = {"checks", "benchmarks", "tests"}  # use everything and are used by nothing


def arrows_in_the_docs():
    """Name -> the names that it may import, from the list in docs/development.md."""
    text = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    lines = re.findall(r"^- `([a-z_]+)(?:\.py)?` -> (.*)$", text, re.MULTILINE)
    return {name: set(re.findall(r"`([a-z_]+)(?:\.py)?`", used)) for name, used in lines}


def homes():
    """Name of each module of the program -> its files."""
    files = {name: [ROOT / f"{name}.py"] for name in FACE}
    for folder in arrows_in_the_docs().keys() - FACE:
        files[folder] = sorted((ROOT / folder).rglob("*.py"))
    return files


def imported(path, known):
    """Names among `known` that the file imports, wherever the import stands."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module]
        else:
            continue
        yield from {name.partition(".")[0] for name in names} & known


def test_imports_follow_the_arrows():
    arrows = arrows_in_the_docs()
    against = [
        f"{path.relative_to(ROOT)} imports {used}"
        for name, files in homes().items()
        for path in files
        for used in imported(path, arrows.keys() | TOP)
        if used != name and used not in arrows[name]
    ]
    assert against == []


def test_the_arrows_have_no_circle():
    left = dict(arrows_in_the_docs())
    while left:
        free = [name for name, used in left.items() if not used & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        for name in free:
            del left[name]


def test_every_arrow_is_used():
    arrows = arrows_in_the_docs()
    unused = [
        f"{name} -> {used}"
        for name, files in homes().items()
        for used in arrows[name]
        if not any(used in imported(path, {used}) for path in files)
    ]
    assert unused == []


def test_the_root_shows_the_face_and_the_folders_alone():
    modules = {path.stem for path in ROOT.glob("*.py")}
    assert modules == FACE
    assert (arrows_in_the_docs().keys() - FACE) | TOP >= {
        path.parent.name for path in ROOT.glob("*/*.py") if not path.parent.name.startswith(".")
    }
