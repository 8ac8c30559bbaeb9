# Everything here does its own set-up, from a bare Python 3.11 or newer.
#   make run PORT=9000 PAPER_PORT=9001 STATE_DIR=/somewhere
PYTHON ?= python3
PORT ?= 8000
PAPER_PORT ?= 8801
STATE_DIR ?= $(CURDIR)/.state
BIN := .venv/bin
TESTS ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test check bench bench-paper bench-streams campaigns torture-quick torture css clean install install-dev

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: install ## Run the whole product with demo data (PORT=8000 PAPER_PORT=8801 STATE_DIR=.state)
	@DEBUG=1 PORT=$(PORT) PAPER_PORT=$(PAPER_PORT) STATE_DIR=$(STATE_DIR) $(BIN)/python manage.py demo

test: install-dev ## Run the test suite (TESTS="tests/alerts -k parse" for a part)
	@$(BIN)/python scripts/test.py $(TESTS)

check: install-dev ## Lint, types, templates, migrations, deployment settings, built CSS
	@$(BIN)/python scripts/check.py

bench: install-dev ## Measure alerts and orders beside their references (QUICK=1 for a short look)
	@$(BIN)/python scripts/bench.py $(if $(QUICK),--quick)

bench-paper: install-dev ## Measure the paper exchange beside a bare echo server
	@$(BIN)/python scripts/bench_paper.py

bench-streams: install-dev ## Measure a thousand connectors on one stream process
	@$(BIN)/python scripts/bench_streams.py

campaigns: install-dev ## The long random tests: damaged answers and order sequences (some 30 minutes)
	@MUTATIONS=100000 $(BIN)/pytest tests/connectors/bitmart/test_mutations.py
	@BOOK_SEQUENCES=20000 $(BIN)/pytest tests/paper/test_book_balances.py

torture-quick: install-dev ## Every campaign against the engine, as CI runs them, and their table
	@$(BIN)/python scripts/torture.py --quick $(ARGS)

torture: install-dev ## The same with the big numbers: many hours (TORTURE_SIMULATOR=50000 sets one layer's)
	@$(BIN)/python scripts/torture.py --full $(ARGS)

css: ## Build static/css/app.css from assets/ (needs npm)
	@cd assets && npm ci --no-audit --no-fund && npm run build

clean: ## Remove the environment, the demo's data and every cache
	rm -rf .venv .state staticfiles htmlcov .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis assets/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

install:
	@$(PYTHON) scripts/bootstrap.py

install-dev:
	@$(PYTHON) scripts/bootstrap.py --dev
