# Everything runs in .venv/, made from the hash-locked requirement files at first use. `make help` lists the targets.
PYTHON ?= python3.11
INPUT ?=
OUTPUT ?= out/demo
MASTER ?= local[4]
WORKERS ?= 2
BIN := .venv/bin
SAMPLE := out/sample
# A worker that dies fails the tests at once: after replacing it, pytest-xdist may wait for ever.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --max-worker-restart=0
# The floor stands in pyproject.toml.
COVERAGE := --cov=orchard --cov-report=term:skip-covered
# The constraints of [tool.uv] have no hashes, so they are left out where hashes are required.
INSTALL := $(BIN)/uv pip install --quiet --compile-bytecode --no-config --python $(BIN)/python

.PHONY: help demo test test-all test-container check lint format typecheck bench lock reproducible clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: .venv/local ## draw 50 photos (or take INPUT=folder) and run the job on them
	$(BIN)/orchard weights
ifeq ($(INPUT),)
	test -d $(SAMPLE) || $(BIN)/orchard sample --output $(SAMPLE) --varieties 5 --per-variety 10
	$(BIN)/orchard run --input $(SAMPLE) --output $(OUTPUT) --master '$(MASTER)'
else
	$(BIN)/orchard run --input '$(INPUT)' --output $(OUTPUT) --master '$(MASTER)'
endif
	@echo "Open $(CURDIR)/$(OUTPUT)/report.html"

test: .venv/dev ## the tests, in 10 minutes on 2 cores: without those that are slow or need a container engine
	$(PYTEST) $(COVERAGE) -m "not slow and not container"

test-all: .venv/dev ## every test; those in containers need a Docker engine, and skip without one
	$(PYTEST) $(COVERAGE)

test-container: .venv/dev ## the tests that need a Docker engine
	$(PYTEST) -m container

check: lint typecheck test ## format, lint, types, imports, tests

lint: .venv/dev ## format and lint, changing nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

format: .venv/dev ## format, and mend what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

typecheck: .venv/dev ## mypy, strict
	$(BIN)/mypy

bench: .venv/dev ## measure against the peers
	$(BIN)/python -m bench

.venv/bin/uv:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: put $(PYTHON) on the PATH or call make PYTHON=/path/to/it"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check uv

.venv/local: .venv/bin/uv requirements-local.txt pyproject.toml
	test -e .venv/dev || $(INSTALL) --require-hashes -r requirements-local.txt
	$(INSTALL) --no-deps --no-build-isolation -e .
	touch $@

.venv/dev: .venv/bin/uv requirements-dev.txt pyproject.toml
	$(INSTALL) --require-hashes -r requirements-dev.txt
	$(INSTALL) --no-deps --no-build-isolation -e .
	touch $@ .venv/local

# The three files hold the same versions; none holds an address.
LOCK := $(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header --universal --no-annotate pyproject.toml
lock: .venv/bin/uv ## lock the dependencies anew
	rm -f requirements-dev.txt requirements-local.txt image/requirements.txt
	$(LOCK) --extra dev -o requirements-dev.txt
	$(LOCK) --extra local -c requirements-dev.txt -o requirements-local.txt
	$(LOCK) --extra job -c requirements-dev.txt -o image/requirements.txt

# Half an hour, as root on Debian 12, with no other engine running.
reproducible: .venv/dev ## two builds from nothing on the stand-in base give the same image
	PYTHON=$(CURDIR)/$(BIN)/python tests/container/reproducible.sh

clean: ## remove everything that make made, .venv included
	rm -rf .venv out build *.egg-info .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
