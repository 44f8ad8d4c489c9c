# The two commands: `make run` sets everything up and opens the coach, `make test` sets up what tests need and
# passes them. Both can be run again and then take seconds.

PYTHON ?= python3
COACH = .venv/bin/coach

.PHONY: run test check bench setup clean

run: setup
	@$(COACH)

setup: .venv/ready
	@$(COACH) setup

test: .venv/ready-dev
	@echo "== models for the tests (630 MB, once)"
	@$(COACH) models pull smollm2-135m
	@$(COACH) models pull all-minilm-l6-v2
	@$(COACH) models pull all-mpnet-base-v2
	@echo "== tests"
	@.venv/bin/python -m pytest $(ARGS)

check: .venv/ready-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: .venv/ready
	@.venv/bin/python -m benchmarks.retrieval
	@.venv/bin/python -m benchmarks.speed

.venv/ready: pyproject.toml scripts/install.py
	@$(PYTHON) scripts/install.py

.venv/ready-dev: pyproject.toml scripts/install.py
	@$(PYTHON) scripts/install.py --dev

clean:
	rm -rf .venv .coach build dist
