# Everything runs in its own .venv from locked, hashed requirements.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test test-slow fuzz lint format dist lock skills-cli bw-cli engine-cisco bench clean help
.DEFAULT_GOAL := help

help:  ## show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

$(STAMP): requirements/dev.txt requirements/server.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (make PYTHON=python3.12 …)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP)  ## the main job, end to end, with nine attacks on it and a revocation
	@$(BIN)/python -m tests.demo

test: $(STAMP)  ## the tests (loopback only)
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow"

test-slow: $(STAMP)  ## the slow tier: kills at every step, adversarial inputs, the README's tour
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m slow

TIME ?= 600
fuzz: $(STAMP)  ## every parser of bytes from outside under atheris: make fuzz TIME=3600 (seconds in all)
	$(BIN)/pip install --quiet --require-hashes -r requirements/fuzz.txt
	$(BIN)/python -m tests.fuzz --time $(TIME)

lint: $(STAMP)  ## ruff, formatting, mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)  ## rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

skills-cli: $(STAMP)  ## npm's skills, which ordinary agents install by, for tests/agents
	npm install --prefix $(VENV)/share/skills-cli --no-save --no-package-lock --ignore-scripts --no-audit --no-fund skills@1.5.18

bw-cli: $(STAMP)  ## npm's client of Bitwarden, which hive drives, for tests/attacks/test_vault_traps.py
	npm install --prefix $(VENV)/share/bw --no-save --no-package-lock --ignore-scripts --no-audit --no-fund @bitwarden/cli@2026.6.0

engine-cisco: $(STAMP)  ## the scanner of others that a slow test runs for real
	SKILLREPO_ENGINES=$(VENV)/share/engines $(BIN)/skillrepo engine install cisco

bench: $(STAMP)  ## measurements, each against its floor in the same run
	$(BIN)/python benchmarks/all.py

dist: $(STAMP)  ## wheel, sdist and bill of materials of the last commit, built twice and compared
	@$(BIN)/python deploy/release/dist.py dist

lock:  ## resolve requirements/*.in again into locked, hashed *.txt
	./requirements/lock.sh

clean:  ## remove everything make made
	rm -rf $(VENV) dist .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
