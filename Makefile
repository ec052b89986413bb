# Every target is two lines; CONTRIBUTING.md says when to use which.
VENV ?= .venv
PYTHON ?= python3
PORT ?= 8188
BIN = $(VENV)/bin
# A file's tests share servers; each process has servers of its own, of about 1 GB each.
PARALLEL ?= -n logical --maxprocesses 4 --dist loadfile

EXTRAS_run =
EXTRAS_test = [test]
EXTRAS_dev = [test,dev]

.DEFAULT_GOAL := help
.PHONY: help run test test-all parity test-gpu test-browser test-clients front-ends check format-check lint types imports dockerfile fix bench clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 15

run: $(VENV)/.installed-run ## set up, start the server, draw a first picture, go on serving (ONCE=1: end after it; PORT=8288; TEXT="a happy cat")
	@$(BIN)/darkroom demo --base-directory data --port $(PORT) $(if $(filter-out 0,$(ONCE)),--once) $(if $(TEXT),--text "$(TEXT)")

test: $(VENV)/.installed-test ## set up and run the tests (ARGS="-k queue" for some of them)
	@$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not gpu" $(ARGS)

test-all: $(VENV)/.installed-test ## the slow tests too: full-size checkpoints, minutes of CPU time
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

parity: $(VENV)/.installed-test ## run every parity case, the slow ones too, and write docs/parity.md
	@$(BIN)/python -m pytest $(PARALLEL) tests/parity --parity-page docs/parity.md $(ARGS)

test-gpu: $(VENV)/.installed-test ## only the tests that need a CUDA device
	@$(BIN)/python -m pytest -m gpu $(ARGS)

test-browser: front-ends ## only the tests that drive the web front end in chromium
	@$(BIN)/python -m pytest -m browser $(ARGS)

test-clients: $(VENV)/.installed-test ## only the tests that drive a server with published clients
	@$(BIN)/python -m pytest -m clients $(ARGS)

front-ends: $(VENV)/.installed-test ## fetch the web front ends that the browser tests drive
	@$(BIN)/python -m tests.browser.front_ends

check: format-check lint types imports dockerfile test ## everything that CI checks

format-check: $(VENV)/.installed-dev ## is the code formatted
	@$(BIN)/ruff format --check .

lint: $(VENV)/.installed-dev ## ruff
	@$(BIN)/ruff check .

types: $(VENV)/.installed-dev ## mypy, strict
	@$(BIN)/mypy

imports: $(VENV)/.installed-dev ## the import contracts of pyproject.toml
	@$(BIN)/lint-imports --no-logo

dockerfile: $(VENV)/.installed-dev ## lint the Dockerfile
	@$(BIN)/hadolint Dockerfile

fix: $(VENV)/.installed-dev ## format, and mend what ruff can mend
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: $(VENV)/.installed-test ## measure: benchmarks/README.md says what, and how to measure other models
	@$(BIN)/python benchmarks/load_checkpoint.py models/starter/darkroom_starter.safetensors

clean: ## remove the environment and what builds leave behind; data/ stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# A stamp a set of libraries, so that the second time costs nothing; a changed pyproject.toml renews it.
$(VENV)/.installed-%: pyproject.toml | $(BIN)/pip
	@echo "Installing Darkroom and its libraries into $(VENV): a minute or two the first time ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".$(EXTRAS_$*)"
	@touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Darkroom needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
