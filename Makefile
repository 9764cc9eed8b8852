# make setup   the environment in .venv, with Ecole built against PySCIPOpt's SCIP; make setup ECOLE=0 leaves Ecole out
# make demo    the main job on real combinatorial auctions: the shipped policy, then collect, train, evaluate, report (four minutes)
# make test    all tests but the slow ones, on all cores
# make docs    the documentation site in site/; look at it with: python3 -m http.server --directory site
.DEFAULT_GOAL := help
PYTHON ?= python3
# Any build of torch 2.6 or newer will do; choose another one, or its index, for CUDA: make setup TORCH="torch==..."
TORCH ?= torch==2.13.0
# 0 leaves out Ecole, which takes a compiler and one to three minutes the first time.
ECOLE ?= 1
EXTRAS ?= dev,train,baselines,tune,highs,docs
BIN := .venv/bin
READY := .venv/.ready
WITH_ECOLE := .venv/.ecole
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Takes half of pip's time, but does not read pip's configuration: behind an index of one's own, pip takes over.
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python
INSTALL_ECOLE = $(BIN)/gnn-branching install-ecole || echo "The set-up goes on without Ecole" >&2
# Compiles ahead what a solve needs, unless that is there for the present sources; without a C compiler it says so.
KERNELS = $(BIN)/python -m gnn_branching.compilation.build
DEMO := runs/demo
LOWEST := .venv/lowest

.PHONY: help setup setup-others kernels demo test test-lowest test-all dist docs lint types format clean

help:
	@sed -n 's/^# //p' Makefile | head -4

# Ecole is built with the rest, or later by the first `make setup` that does not leave it out.
setup: $(READY) $(if $(filter 0,$(ECOLE)),,$(WITH_ECOLE))

$(WITH_ECOLE): | $(READY)
	test -e $@ || $(INSTALL_ECOLE)
	@touch $@

$(READY): pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; set another one with: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) "$(TORCH)" uv
	$(UV) --compile-bytecode --editable ".[$(EXTRAS)]" || $(PIP) --editable ".[$(EXTRAS)]"
ifneq ($(ECOLE),0)
	$(INSTALL_ECOLE)
	@touch $(WITH_ECOLE)
endif
	$(KERNELS)
	$(BIN)/gnn-branching doctor
	@touch $@

# First the shipped policy with its recipe, beside SCIP as it comes; then a policy of one's own.
demo: setup
	$(BIN)/evaluate combinatorial-auction --family combinatorial-auction --size easy --n 3 --seeds 1 --out $(DEMO)/shipped
	$(BIN)/train-policy configs/demo.toml --out $(DEMO) --no-verdict
	$(BIN)/evaluate $(DEMO)/policy --family combinatorial-auction --size easy --n 8 --seeds 1 --settings paper --out $(DEMO)/evaluation
	$(BIN)/gnn-branching report $(DEMO)
	@echo "Open $(DEMO)/report.html"

kernels: setup
	$(KERNELS)

test: kernels
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m "not slow"

# The oldest versions that pyproject.toml admits solve and evaluate too.
test-lowest: setup
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)
	$(BIN)/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct .
	GNN_BRANCHING_LOWEST=$(CURDIR)/$(LOWEST)/bin/python $(BIN)/python -m pytest tests/cli/test_bare_install.py -k "doctor or solving"

# What some tests need, and are skipped without: Ray, the modelling tools of examples/, and an independent implementation of
# the diagnostics' products.
setup-others: $(READY)
	$(UV) --editable ".[modelling,ray,slurm]"
	$(UV) --no-deps --requirement tests/diagnostics/requirements-oracle.txt

# Every test, the slow ones too.
test-all: kernels setup-others
	$(BIN)/python -m pytest --numprocesses auto

# A wheel and an sdist in dist/, checked, and the wheel in an environment of its own. With compiled kernels the wheel is
# for this Python and this system: built from the checkout, as the sdist has no kernels.
dist: kernels
	rm -rf dist
	$(BIN)/python -m build --sdist --wheel --outdir dist
	for wheel in dist/*-linux_*.whl; do test ! -e $$wheel \
	  || PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/auditwheel repair --wheel-dir dist $$wheel && rm -f $$wheel; done
	$(BIN)/twine check --strict dist/*
	$(BIN)/uv venv --quiet --python $(BIN)/python dist/.venv
	$(BIN)/uv pip install --quiet --python dist/.venv/bin/python dist/*.whl
	dist/.venv/bin/python -I -c 'from gnn_branching.compilation.library import ahead; \
	  assert ahead().why_not in ("", "not built"), ahead().why_not'
	dist/.venv/bin/gnn-branching policies
	dist/.venv/bin/gnn-branching generate set-cover --n 1 --out dist/.models
	dist/.venv/bin/gnn-branching solve dist/.models/*.lp --policy set-cover

docs: setup
	$(BIN)/mkdocs build --strict

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache
