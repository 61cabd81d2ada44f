# The two commands of the README. Both create and use .venv in this folder.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: run test paper lint clean

run: $(READY)
	$(BIN)/kmc-oxy run inputs/quickstart.yaml -o quickstart.h5
	$(BIN)/kmc-oxy plot quickstart.h5 -o quickstart.png

test: $(READY)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8

# QUICK= runs the full ensembles.
QUICK ?= --quick

paper: $(READY)
	$(BIN)/python scripts/figures/reproduce_paper.py $(QUICK) -o paper

lint: $(READY) .venv/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint cython_ext
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: docs
docs: $(READY) .venv/docs
	$(BIN)/python -c "from kmc_oxy.inputs.input_reference import reference_markdown; print(reference_markdown(), end='')" > docs/input.md
	$(BIN)/python -c "from kmc_oxy.api.api_reference import api_markdown; print(api_markdown(), end='')" > docs/api.md
	$(BIN)/python -c "from pathlib import Path; from kmc_oxy.fit.fit_reference import updated; page = Path('docs/fitting.md'); page.write_text(updated(page.read_text(encoding='utf-8')), encoding='utf-8')"
	$(BIN)/mkdocs build --strict

# Installed in place, so that edits of Python files need no second installation.
$(READY): pyproject.toml setup.py $(wildcard cython_ext/*/*.p[yx][xdi])
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --editable ".[mpich,test]"
	touch $(READY)

# Tools, installed once: an editable installation compiles the kernels again.
.venv/lint .venv/docs: .venv/%: pyproject.toml $(READY)
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	touch $@

clean:
	rm -rf .venv build *.egg-info kmc_oxy/physics/*.so kmc_oxy/_kernel_source.py cython_ext/*/*.c
