# Babelview: `make demo` sets everything up and captions sample advertisements; `make test` runs every test.
PYTHON ?= python3
BIN := .venv/bin
# With the first Python would not look for `scripts` here, and they are not installed. With the second every process would
# compile what it imports, which is half of vLLM's start: uv, unlike pip, leaves that to the first import.
unexport PYTHONSAFEPATH
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup environment demo test check format bench

help:  ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: environment  ## make .venv and install what this machine can run (GPU or CPU)
	@echo 'to go on: source .venv/bin/activate, then babelview --help; or make demo'

environment:
	@$(PYTHON) -m scripts.setup_env

demo: environment  ## sample ads in ./ads, the demo stack up, captions in four languages, stack down
	@$(BIN)/python -m scripts.demo

check: environment  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: environment  ## unit, integration and end-to-end tests against real vLLM
	$(BIN)/python -m pytest --numprocesses 3 --max-worker-restart 0

format: environment  ## rewrite the sources in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: environment  ## the short benchmarks; results, plots and a page in bench-results/
	$(BIN)/python -m scripts.benchmarks
