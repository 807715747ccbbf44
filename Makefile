# Babelview: `make demo` sets everything up and captions sample advertisements; `make test` runs every test.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo test check format bench

help:  ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## make .venv and install what this machine can run (GPU or CPU)
	@$(PYTHON) scripts/setup_env.py

demo: setup  ## sample ads in ./ads, the demo stack up, captions in four languages, stack down
	@$(BIN)/python -m scripts.demo

check: setup  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: setup  ## unit, integration and end-to-end tests against real vLLM
	$(BIN)/python -m pytest

format: setup  ## rewrite the sources in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup  ## the short benchmarks; results, plots and a page in bench-results/
	$(BIN)/python -m scripts.benchmarks
