.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# What is imported is compiled once, not in every process.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
RUN := .venv/.run-stamp
VENDORS := .venv/.vendors-stamp
DEV := .venv/.dev-stamp
IQM := .venv-iqm/.iqm-stamp
FAST_TESTS := $(wildcard tests/contract tests/unit)
IQM_TESTS := tests/contract/vendors/test_iqm.py
REAL_TESTS := $(wildcard tests/integration tests/e2e)
PYTEST := $(BIN)/python -m pytest --dist=loadfile
# These wait a third of their time, for clocks and for children: three processes keep two
# cores at work. Files that take long come first.
FAST := --numprocesses=$(shell echo $$(( $$(env -u OMP_NUM_THREADS nproc) * 3 / 2 ))) --no-loadscope-reorder
REAL := --numprocesses=auto

.PHONY: help demo demo-vendors demo-long serve test lint types bench lock clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(RUN) ## a broker, an emulator and a job, in one go
	$(BIN)/python examples/demo.py

demo-vendors: $(VENDORS) $(IQM) ## one program on every vendor's machine, on loopback
	$(BIN)/python examples/demo_vendors.py

demo-long: $(VENDORS) ## a long experiment, killed three times under a changing calibration
	$(BIN)/python examples/demo_long.py

serve: $(RUN) ## run the broker on this machine
	$(BIN)/quanopy serve

test: $(DEV) $(IQM) lint types ## linters, types, and all tests on real servers
	tools/install-test-servers
ifneq ($(FAST_TESTS),)
	$(PYTEST) $(FAST) $(PYTEST_ARGS) $(FAST_TESTS)
	.venv-iqm/bin/python -m pytest --confcutdir=tests/contract $(IQM_TESTS)
endif
ifneq ($(REAL_TESTS),)
	$(PYTEST) $(REAL) $(PYTEST_ARGS) $(REAL_TESTS)
endif

lint: $(DEV) ## style and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(DEV) ## mypy, strict
	$(BIN)/mypy

bench: $(DEV) ## benchmarks; each prints JSON
	tools/install-test-servers
	$(BIN)/python -m benchmarks

lock: $(DEV) ## compile requirements/*.txt again
	tools/lock-requirements

clean: ## remove environments, caches and build outputs
	rm -rf .venv .venv-iqm build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN): requirements/run.txt pyproject.toml
	@tools/make-environment run

$(VENDORS): requirements/vendors.txt pyproject.toml
	@tools/make-environment vendors

$(DEV): requirements/dev.txt pyproject.toml
	@tools/make-environment dev

$(IQM): requirements/iqm.txt pyproject.toml
	@tools/make-environment iqm
