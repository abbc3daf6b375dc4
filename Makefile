# Every target is a documented command of its own, so nothing here needs make: see README.md.
# Set-up happens by itself in .venv; choose another Python with make PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH_INDEX ?=
STUDY ?=
# of search
SPLIT ?=
SEARCH ?=
# of reproduce-all, report and status (SEEDS, OUT, JOBS, LAUNCHER, LAUNCH_OPTIONS, DEVICE also of search): names between commas
SERIES ?= paper
STUDIES ?=
METHODS ?=
PROTOCOLS ?=
SEEDS ?=
OUT ?= outputs
JOBS ?=
# a file of conf/launch (joblib, basic, slurm) and its settings, between spaces: "partition=short timeout_min=60"
LAUNCHER ?= joblib
LAUNCH_OPTIONS ?=
DEVICE ?= cpu
PLACE = --out '$(OUT)' --device $(DEVICE) --launcher $(LAUNCHER) \
	$(if $(LAUNCH_OPTIONS),--launcher-options $(LAUNCH_OPTIONS)) $(if $(JOBS),--jobs $(JOBS))
PARTS = $(if $(STUDIES),--studies $(STUDIES)) $(if $(METHODS),--methods $(METHODS)) \
	$(if $(PROTOCOLS),--protocols $(PROTOCOLS)) $(if $(SEEDS),--seeds $(SEEDS))
TESTS = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal
REPRODUCE = $(BIN)/python scripts/reproduce.py --series $(SERIES) $(PLACE) $(PARTS)
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Without compiled files, each of the many processes of a sweep or a test compiles the whole package.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-all lint data reproduce-all zoo report status search archive restore tables notes docs bench \
	build check-build sbom dependencies clean

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed  ## install everything into .venv (1 to 2 minutes); a small torch with TORCH_INDEX=https://download.pytorch.org/whl/cpu

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "calib needs Python 3.11 or newer; choose one with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/pip install --quiet --no-deps -c constraints.txt --index-url $(TORCH_INDEX) torch)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup  ## every method on the simulated study demo, with tables, figures and page (no download, 2 minutes)
	$(BIN)/python scripts/reproduce.py --series demo --out $(OUT)

test: setup  ## fast tests (7 to 12 minutes)
	$(TESTS) -m "not slow"

test-slow: setup  ## slow tests: whole trainings, real data where CALIB_DATA_DIR names it
	$(TESTS) -m slow

test-all: setup  ## both at once, in less time than one after the other
	$(TESTS)

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

data: setup  ## download the MI and CHD files and verify them (14 MB); STUDY=pancreas for the cells, STUDY=zoo for ten public studies (20 MB)
	$(BIN)/python scripts/fetch_data.py $(STUDY)

reproduce-all: setup  ## the whole paper: runs, tables, figures, page; STUDIES= METHODS= SEEDS= PROTOCOLS= OUT= JOBS= LAUNCHER=slurm LAUNCH_OPTIONS=
	$(REPRODUCE)

zoo: setup  ## the fast methods on ten public studies (an hour on two cores); SERIES=zoo,zoo_slow for all, and the options above
	$(BIN)/python scripts/reproduce.py --series $(if $(filter paper,$(SERIES)),zoo,$(SERIES)) $(PLACE) $(PARTS)

report: setup  ## tables, figures and page of what is recorded, with the options of reproduce-all
	$(REPRODUCE) --report-only

status: setup  ## what reproduce-all would run, and what is recorded; with its options
	$(REPRODUCE) --dry-run

search: setup  ## choose the weights of the losses by leaving a source out: STUDY= SPLIT= SEARCH=
	$(BIN)/python scripts/search.py $(if $(STUDY),--study $(STUDY)) $(if $(SPLIT),--split '$(SPLIT)') \
		$(if $(SEARCH),--search $(SEARCH)) $(if $(SEEDS),--seeds $(SEEDS)) $(PLACE)

archive: setup  ## keep the recorded runs of outputs/ in docs/results/archive
	$(BIN)/python scripts/archive.py --out $(OUT)

restore: setup  ## lay docs/results/archive out as records in OUT=, so that make status shows them and new seeds add to them
	$(BIN)/python scripts/archive.py --restore --out $(OUT)

tables: setup  ## every table and verdict of README and docs from docs/results/archive, and all of them in full in OUT/tables (2 minutes)
	$(BIN)/python scripts/tables.py --out $(OUT)/tables

notes: setup  ## collect the records in outputs/ into docs/results/ and renew the tables in docs/
	$(BIN)/python scripts/notes.py

docs: setup  ## the site of all pages in build/site/html; a dead link is an error (a minute)
	$(BIN)/python scripts/build_site.py

bench: setup  ## trainings over their matrix products, seeds together, large studies, start-up (a quarter of an hour)
	$(BIN)/python scripts/bench

build: setup  ## wheel and sdist, in dist/
	rm -rf dist build
	$(BIN)/python -m build --no-isolation --outdir dist

check-build: setup  ## contents, commands and tests of what is in dist/, in an environment outside the checkout
	OMP_NUM_THREADS=1 $(BIN)/python scripts/check_build.py dist --tests "tests -n 2" \
		--packages "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

sbom: setup  ## the software bill of materials, in dist/
	$(BIN)/python scripts/sbom.py dist/calib-omics.cdx.json

dependencies: setup  ## renew the licences in docs/dependencies.md
	$(BIN)/python scripts/dependencies.py

clean:  ## delete the environment and the caches, keep outputs/
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
