# Everything runs in .venv/, made from the hash-locked requirement files at first use.
PYTHON ?= python3.11
INPUT ?=
OUTPUT ?= out/demo
MASTER ?= local[4]
BIN := .venv/bin
SAMPLE := out/sample

.PHONY: demo test check bench lock classes reproducible clean

demo: .venv/local
	$(BIN)/orchard weights
ifeq ($(INPUT),)
	test -d $(SAMPLE) || $(BIN)/orchard sample --output $(SAMPLE) --varieties 5 --per-variety 10
	$(BIN)/orchard run --input $(SAMPLE) --output $(OUTPUT) --master '$(MASTER)' --overwrite
else
	$(BIN)/orchard run --input '$(INPUT)' --output $(OUTPUT) --master '$(MASTER)' --overwrite
endif
	@echo "Open $(CURDIR)/$(OUTPUT)/report.html"

test: .venv/dev
	$(BIN)/python -m pytest

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test

bench: .venv/dev
	$(BIN)/python -m bench

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: put $(PYTHON) on the PATH or call make PYTHON=/path/to/it"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/local: .venv/bin/python requirements-local.txt pyproject.toml
	test -e .venv/dev || $(BIN)/pip install --quiet --require-hashes -r requirements-local.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

.venv/dev: .venv/bin/python requirements-dev.txt pyproject.toml
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@ .venv/local

# Needs uv. The three files hold the same versions; none holds an address.
LOCK := uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header --universal --no-annotate pyproject.toml
lock:
	rm -f requirements-dev.txt requirements-local.txt image/requirements.txt
	$(LOCK) --extra local --extra deploy --extra dev -o requirements-dev.txt
	$(LOCK) --extra local -c requirements-dev.txt -o requirements-local.txt
	$(LOCK) -c requirements-dev.txt -o image/requirements.txt

# The classes that the image's archive holds, from a run inside an image: make classes IMAGE=orchard:dev
classes:
	docker run --rm -i --entrypoint sh $(IMAGE) < image/train_classes.sh > image/classes.list.new
	mv image/classes.list.new image/classes.list

# Two builds from nothing on the stand-in base give the same image: half an hour, as root on Debian 12, with no other engine running.
reproducible: .venv/dev
	PYTHON=$(CURDIR)/$(BIN)/python tests/container/reproducible.sh

clean:
	rm -rf .venv out build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
