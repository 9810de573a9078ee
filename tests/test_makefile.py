"""`make` on a machine whose Python cannot make a whole virtual environment, and then can."""
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).resolve().parents[1] / "Makefile"
DEBIANS_PYTHON = f"""#!/bin/sh
# Without python3-venv: a folder with a Python is left, and no pip in it.
if [ "$2" = venv ]; then
  mkdir -p "$3/bin"; ln -sf /nowhere/python "$3/bin/python"; exit 1
fi
exec {sys.executable} "$@"
"""


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_a_half_made_environment_is_not_taken_for_a_whole_one(tmp_path):
    shutil.copy(MAKEFILE, tmp_path)
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "run_experiment.py").write_text("print('it runs')")
    python = tmp_path / "debians-python"
    python.write_text(DEBIANS_PYTHON)
    python.chmod(0o755)

    def make(python):
        command = ["make", "--silent", "demo", f"PYTHON={python}"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    for _ in range(2):  # the second time with what the first has left
        failed = make(python)
        assert (failed.returncode, failed.stdout) == (2, "")
        assert failed.stderr.splitlines()[0] == (
            f"{python} cannot make .venv, which holds what the program needs; on Debian or Ubuntu: apt install"
            " python3-venv"
        )
    made = make(sys.executable)
    assert (made.returncode, made.stdout) == (0, "it runs\n"), made.stderr
