# Everything that is done to this repository by hand or by a machine. `make` alone lists it.
# Written for GNU make 3.81 and later (the one that macOS has).

PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
JOBS ?= 2
PHOTOS ?=
BENCH_FLAGS ?=

BIN := $(VENV)/bin
STEP = @printf '%s\n'

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install demo test lint types imports unit format bench photos-given constraints clean

help: ## List these targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@printf '\n%s\n' "Variables: PYTHON=$(PYTHON)  VENV=$(VENV)  PIP_FLAGS=$(PIP_FLAGS)  JOBS=$(JOBS)"

install: $(VENV)/.installed ## Make the virtual environment and install Fieldmark into it

demo: $(VENV)/.installed ## Train, evaluate and report on bundled real images, into demo/
	$(STEP) "Running the demo ..."
	@$(BIN)/fieldmark demo --out demo

test: lint types imports unit ## Run every gate: format, lint, types, imports, tests with coverage
	$(STEP) "All gates passed."

lint: $(VENV)/.installed-dev ## Check format and style (ruff)
	$(STEP) "Checking format and style ..."
	@$(BIN)/ruff format --check . || { \
		printf '%s\n' "Some files are not formatted: run 'make format'."; exit 1; }
	@$(BIN)/ruff check --quiet .

types: $(VENV)/.installed-dev ## Check types (mypy, strict)
	$(STEP) "Checking types ..."
	@$(BIN)/mypy --no-error-summary

imports: $(VENV)/.installed-dev ## Check that the layers import downwards only (import-linter)
	$(STEP) "Checking imports ..."
	@$(BIN)/lint-imports

unit: $(VENV)/.installed-dev ## Run the tests with branch coverage (pytest)
	$(STEP) "Running the tests ..."
	@$(BIN)/pytest -q -n $(JOBS) --cov --cov-report=term

format: $(VENV)/.installed-dev ## Format the code and mend what can be mended without thought
	$(STEP) "Formatting ..."
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

bench: photos-given $(VENV)/.installed-dev ## Measure training on PHOTOS=folder beside a plain script
	@$(BIN)/python benchmarks/whole_command.py --peer $(BENCH_FLAGS) "$(PHOTOS)"

photos-given:
	@test -d "$(PHOTOS)" || { \
		printf '%s\n' "Which photos? Name a folder with one subfolder of photos per class:" \
			"  make bench PHOTOS=photos" \
			"  make bench PHOTOS=photos BENCH_FLAGS='--weights FOLDER --record'" >&2; \
		exit 1; }

constraints: ## Renew constraints.txt with the newest versions (a fresh environment in build/)
	$(STEP) "Installing the newest versions into build/constraints (some minutes) ..."
	@$(call need_python)
	@$(PYTHON) -m venv build/constraints
	@$(call pip_install,build/constraints,-e '.[dev]')
	@{ grep '^#' constraints.txt; build/constraints/bin/python -m pip freeze --all \
		--exclude-editable --exclude fieldmark --exclude pip; } > build/constraints.txt
	@mv build/constraints.txt constraints.txt
	$(STEP) "Wrote constraints.txt. Now run 'make test', and delete build/constraints."

clean: ## Delete what these targets made, except the virtual environment
	@rm -rf demo build dist htmlcov .coverage .coverage.* .bench .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	@find . -path './$(VENV)' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps stand in the environment, so that deleting it deletes them too. They are written last:
# an installation that was broken off has none, and the next run completes it.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(call make_venv)
	$(STEP) "Installing Fieldmark into $(VENV) (a few minutes the first time) ..."
	@$(call pip_install,$(VENV),-c constraints.txt -e .)
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt
	@$(call make_venv)
	$(STEP) "Installing Fieldmark and its tools into $(VENV) (a few minutes the first time) ..."
	@$(call pip_install,$(VENV),-c constraints.txt -e '.[dev]')
	@touch $(VENV)/.installed $@

define need_python
	command -v $(PYTHON) > /dev/null || { \
		printf '%s\n' "There is no '$(PYTHON)'. Install Python 3.11 or newer, or name yours:" \
			"  make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		printf '%s\n' "Fieldmark needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
			"Name a newer one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
endef

# An environment without a working pip is new, or was broken off while it was made.
define make_venv
	$(BIN)/python -m pip --version > /dev/null 2>&1 || { \
		$(need_python); \
		printf '%s\n' "Making a virtual environment in $(VENV) with $$($(PYTHON) --version 2>&1) ..."; \
		$(PYTHON) -m venv $(VENV) || exit 1; }
endef

# pip writes INSTALLER at the end of each package, after the long compilation: without it a package
# is half there, but pip would take it for whole. Without its metadata it is installed anew.
define pip_install
	for package in $(1)/lib/python*/site-packages/*.dist-info; do \
		test ! -d "$$package" || test -e "$$package/INSTALLER" || rm -rf "$$package"; \
	done; \
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) $(2) || { \
		printf '%s\n' "The installation did not finish; run the same command again to go on." >&2; \
		exit 1; }
endef
