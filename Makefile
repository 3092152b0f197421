# make setup | run | test | lint | clean | imagebind-tiny
# Anything pip reads from the environment works here: PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS, ...

DURATION ?= 30s
CONFIG ?= configs/headset.yaml
PYTEST_ARGS ?=
# What is installed beside the package itself: dev, realsense, oak, mavlink, pulse, ... (pyproject.toml), with commas.
EXTRAS ?= dev

# The first Python that is new enough; set PYTHON to choose.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3 python,\
	$(shell $(name) -c 'import sys; print("$(name)" if (3, 11) <= sys.version_info[:2] < (3, 14) else "")' 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(EXTRAS)

.PHONY: setup run test lint clean imagebind-tiny
.DEFAULT_GOAL := setup

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 to 3.13 found; install one, or set PYTHON=/path/to/python" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

run: setup
	$(BIN)/stream-bind run $(CONFIG) --simulate-missing --duration $(DURATION) --print

test: setup
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Trains the model in stream_bind/encoders/imagebind/tiny anew: corpora, five stages, evaluation, model card.
imagebind-tiny: setup
	$(BIN)/python -m stream_bind.training.tiny

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
