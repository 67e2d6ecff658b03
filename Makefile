# make demo       environment, sample corpus, store, six folds, pictures to look at
# make test       environment, and every test that takes seconds
# make lint       ruff, mypy strict, import contracts
# make check      lint and test
# make docs       build the documentation into site/, strictly and offline
# make test-slow  tests that take minutes
# make test-gpu   tests on a GPU; they fail without one
# make bench      quick benchmarks, compared with the recorded ones
# make reference  write the reference pages that are made from the code
# make figures    draw the figures of the documentation
# make manifests  write the lists in data_manifests that are made from the code
# make lock       pin the newest versions that fit pyproject.toml
# make clean      remove the output of make demo and make docs

PYTHON ?= python3
DEMO ?= demo
BIN := .venv/bin

.PHONY: help env demo test test-slow test-gpu bench docs reference figures manifests lint check lock clean
help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

# uv is installed into the environment itself, so the machine stays unchanged. A cold
# install takes seconds with it, and minutes with pip.
env: .venv/.ready
.venv/.ready: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"mmder: python {v[0]}.{v[1]} found, 3.11 or newer needed: make PYTHON=python3.12 ...")'
	@echo "environment: .venv (PyTorch and the other packages pinned in requirements.lock)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: env
	$(BIN)/mmder-prep sample --out $(DEMO)/sample
	$(BIN)/mmder-prep ravdess --root $(DEMO)/sample --out $(DEMO)/store
	$(BIN)/mmder-train --store $(DEMO)/store --strategy cfas --encoder tiny --out $(DEMO)/run
	$(BIN)/python docs/make_figures.py $(DEMO)/store --sample $(DEMO)/sample --strategies $(DEMO)/strategies.svg

test: env
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: env
	$(BIN)/python -m pytest -m slow --timeout 3600

test-gpu: env
	$(BIN)/python -m pytest tests/gpu -m gpu --timeout 1200

# The libraries that mmder is compared with ask for older versions of its dependencies;
# the lock file takes precedence.
bench: env .venv/.bench
	$(BIN)/python benchmarks/quick.py
.venv/.bench: .venv/.ready
	$(BIN)/uv pip install --quiet --python $(BIN)/python --override requirements.lock --group bench
	@touch $@

docs: env
	NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --strict --quiet
	@echo "documentation: site/index.html"

reference: env
	$(BIN)/python docs/generate.py

figures: demo
	$(BIN)/python docs/make_figures.py $(DEMO)/store --sample $(DEMO)/sample

# The published contents of each corpus: full lists, or counts if the licence requires it.
manifests: env
	for corpus in ravdess cremad iemocap mead savee enterface msp-improv dfew mafw; do \
	  $(BIN)/mmder-prep published $$corpus > data_manifests/$$corpus.csv || exit 1; \
	done

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

# Pins without hosts. The CUDA packages are left to torch, which pins them itself, so that
# one lock file serves machines with and without a GPU. One version for all Pythons: the
# one that the tests ran with.
lock: env
	$(BIN)/uv pip compile --quiet --upgrade --all-extras --group dev --python-version 3.11 \
	  --universal --fork-strategy fewest --no-annotate --no-header pyproject.toml \
	  | grep -vE '^(nvidia-|cuda-|triton)' > requirements.lock.new
	mv requirements.lock.new requirements.lock

clean:
	rm -rf $(DEMO) site
