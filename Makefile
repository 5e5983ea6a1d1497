# Everything runs in .venv, which the first target makes; only Python >= 3.11 and make must be there.
PYTHON ?= python3
WORKERS ?= 2
PARTS ?=
SAVE ?=
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help setup test lint docs demo bench clean

help:
	@echo "make demo    set up, then run the whole path on a synthetic dataset (a few minutes)"
	@echo "make test    set up, then lint, types and tests"
	@echo "make lint    lint, formatting and types only"
	@echo "make bench   time and memory beside references, about 10 minutes (some parts: PARTS=\"metrics loading\")"
	@echo "make docs    write docs/cli.md and docs/configuration.md anew"
	@echo "make clean   remove the environment and the caches (never data/ or runs/)"

setup: $(READY)

# torch comes first and pinned: nothing that depends on it may choose its version.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "dacl needs Python 3.11 or newer; try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

docs: $(READY)
	$(BIN)/python -m dacl_cli.docs
	$(BIN)/python -m dacl_cli.configuration_doc

demo: $(READY)
	$(BIN)/python examples/demo.py

bench: $(READY)
	@$(BIN)/python -c 'import medpy' 2>/dev/null || \
		$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[oracle]' || \
		echo "medpy cannot be installed: its ratios are left out"
	$(BIN)/python -m benchmarks $(PARTS) $(if $(SAVE),--save $(SAVE))

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
