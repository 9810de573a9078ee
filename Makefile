# Each target sets up .venv and installs what is missing, then runs.
#   make test                          lint and all tests
#   make demo                          the built-in demo: no GPU, no download
#   make run                           the experiment, with the settings at the top of run_experiment.py
#   make run ARGS="--n-questions 20"   the same with flags
PYTHON ?= python3
ARGS ?=

.PHONY: demo run test clean

demo: .venv/installed
	.venv/bin/python run_experiment.py --demo $(ARGS)

run: .venv/installed
	.venv/bin/python run_experiment.py $(ARGS)

test: .venv/installed-dev
	.venv/bin/ruff check .
	.venv/bin/python -m pytest

clean:
	rm -rf .venv .pytest_cache .ruff_cache

.venv/installed: requirements.txt | .venv/bin/python
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed, $(PYTHON) is `$(PYTHON) -V 2>&1`; set it with make PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv
