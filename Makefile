# Two commands do everything: `make reproduce` and `make test`. Both start with `make setup`.
# All paths are relative, so that a checkout whose own path holds spaces works.

PYTHON ?= python3
WORKERS ?= 2
ARGS ?=
HASHES ?=

# 00 reads the results that the other notebooks write: it goes last. Copies and drafts are left out.
LAST := notebooks/00_start_here.ipynb
SELECT := from pathlib import Path; from ot_latent.paper.reproduce import select_notebooks; \
  print(*select_notebooks(None, Path("notebooks")))
OTHERS = $(or $(filter-out $(LAST),$(shell .venv/bin/python -c '$(SELECT)')),$(error found no notebooks))

# Those that take a minute and more, the longest first: tests start with them, so that no worker waits at the end.
LONG = $(foreach number,05 17 12 08 15 13 18 06 07,$(filter notebooks/$(number)_%,$(OTHERS)))

# With MPLBACKEND=Agg in the environment a kernel draws no inline figures.
unexport MPLBACKEND

.DEFAULT_GOAL := help
.PHONY: help setup made reproduce test lint lab docs notebooks strip clean writable

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

# Two at once would break .venv: the second waits for the first, and then finds its work done.
LOCKED := import fcntl, subprocess, sys; lock = open("constraints.txt", "r+"); \
  fcntl.flock(lock, fcntl.LOCK_EX); sys.exit(subprocess.call(sys.argv[1:], close_fds=False))
setup: | writable  ## create .venv with the pinned set of packages (HASHES=1: each verified)
	@"$(PYTHON)" -c '$(LOCKED)' $(MAKE) --no-print-directory made GOALS="$(MAKECMDGOALS)"

made: .venv/installed
	@:

reproduce: setup  ## regenerate every figure and table (ARGS="04 --scale smoke")
	.venv/bin/ot-latent reproduce $(ARGS)

# Each process gets one thread: WORKERS of them run side by side.
test: export OMP_NUM_THREADS = 1
test: export MKL_NUM_THREADS = 1
test: export OPENBLAS_NUM_THREADS = 1
test: export TQDM_DISABLE = 1
# nbval does not notice that a kernel died: the cell's time limit ends it.
test: NBVAL = .venv/bin/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=600 \
  --nbval-kernel-startup-timeout=600
test: setup lint  ## style, all tests, and the committed notebooks
	.venv/bin/python -m pytest -n $(WORKERS) --dist worksteal --durations=25
	$(NBVAL) -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(LONG) $(filter-out $(LONG),$(OTHERS)) $(LAST)

lint: setup  ## style, and imports that run one way
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports

lab: setup  ## open JupyterLab on the first notebook
	.venv/bin/ot-latent lab

docs: setup  ## build the website in build/docs/html, from the committed notebooks
	.venv/bin/python docs/build.py

notebooks: export TQDM_DISABLE = 1
# Their results are to be kept, and the kernel python3 is that of .venv, whatever others have this name.
notebooks: export OT_LATENT_KEEP = 1
notebooks: export JUPYTER_PATH = .venv/share/jupyter
notebooks: EXECUTE = .venv/bin/python -m jupyter nbconvert --to notebook --execute --inplace \
  --ExecutePreprocessor.startup_timeout=600
notebooks: setup  ## execute the committed notebooks in place, at quick, and clean them
	$(EXECUTE) $(OTHERS)
	$(EXECUTE) $(LAST)
	@$(MAKE) --no-print-directory strip

strip: setup  ## remove timings and versions from the notebooks, keep their outputs
	.venv/bin/nbstripout --keep-output --keep-count --keep-id --extra-keys \
	  "metadata.papermill cell.metadata.papermill metadata.language_info.version" \
	  $(OTHERS) $(LAST)

clean:  ## remove .venv, build and all caches
	rm -rf .venv build dist .hypothesis .pytest_cache .ruff_cache .mypy_cache .import_linter_cache notebooks/.ipynb_checkpoints
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp names the folder for which .venv was made. Scripts and the editable install in it
# hold absolute paths, so the .venv of a checkout that was copied or moved is made anew.
ifneq ($(shell cat .venv/installed 2>/dev/null),$(shell pwd -P))
.PHONY: .venv/installed
endif
# With HASHES=1 every file is compared with constraints-hashes.txt; what builds our own package is not.
VERIFIED = .venv/bin/python -m pip install --disable-pip-version-check --no-deps --require-hashes \
  -r constraints-hashes.txt && .venv/bin/python -m pip install --disable-pip-version-check --no-deps -e .
.venv/installed: pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "ot-latent needs Python 3.11 or newer; this is: $$("$(PYTHON)" --version 2>&1)." \
	    "Name another one, for example: make $(GOALS) PYTHON=python3.12" >&2; exit 1; }
	@test "$$(cat .venv/installed 2>/dev/null)" = "$$(pwd -P)" || "$(PYTHON)" -m venv --clear .venv
	$(if $(HASHES),$(VERIFIED),.venv/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]')
	@pwd -P > .venv/installed

# A copy of a read-only checkout lacks write permissions: give them back to its owner.
writable:
	@find . \( -path ./.git -o -path ./.venv \) -prune -o \
	  ! -type l ! -perm -u+w -exec chmod u+w {} +
