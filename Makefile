# make help lists what this file does. Nothing but Python (3.11 or later) and make need be installed.
PYTHON ?= python3
JOBS ?= auto
PROFILE ?= quick
SEED ?= 0
BIN = .venv/bin
STAMP = .venv/installed-for-pyproject

.DEFAULT_GOAL := help
.PHONY: help setup verify test lint format figures notebooks bench clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

# The optional packages are installed one extra at a time: a platform that has no build of one goes without it, and what
# needs it is skipped with its reason.
$(STAMP): pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,dev]'
	@for extra in notebooks storm peers neural cluster site; do \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$$extra]" \
	    || echo "note: the optional extra '$$extra' could not be installed; what needs it will be skipped"; \
	done
	@cp pyproject.toml $(STAMP)

setup: $(STAMP)  ## make the environment .venv; the other targets do it where it is missing

verify: $(STAMP)  ## check every claim, write ledger/ledger.json and ledger/ledger.html (PROFILE=full, SEED=1)
	$(BIN)/mdplab verify --profile $(PROFILE) --seed $(SEED) --out ledger

# The workers share the cores. Each begins with a stretch of whole folders, so that a kernel is compiled once, and steals in the end.
test: $(STAMP)  ## run the tests of the library itself
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal tests

lint: $(STAMP)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)  ## let ruff rewrite what lint would complain of
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

figures: $(STAMP)  ## regenerate every figure into figures/out/
	$(BIN)/mdplab figures --all

notebooks: $(STAMP)  ## execute every notebook
	@set -e; for book in notebooks/*.ipynb; do echo $$book; \
	  $(BIN)/jupyter execute $$book; done

bench: $(STAMP)  ## measure the solvers of MDPs and of games, the learners, the bandits and the networks beside their peers
	$(BIN)/python benchmarks/solvers.py
	$(BIN)/python benchmarks/constrained.py
	$(BIN)/python benchmarks/robust_iteration.py
	$(BIN)/python benchmarks/pareto_front.py
	$(BIN)/python benchmarks/matrix_games.py
	$(BIN)/python benchmarks/counterfactual_regret.py
	$(BIN)/python benchmarks/learning.py
	$(BIN)/python benchmarks/bandit_pulls.py
	$(BIN)/python benchmarks/neural.py

clean:  ## remove the environment, caches and everything generated
	rm -rf .venv ledger figures/out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
