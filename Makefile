# make demo       environment, sample corpus, store, six folds, a picture to look at
# make test       environment and every test that takes seconds
# make check      the tests, and ruff, mypy strict, import contracts
# make test-slow  the proofs that take minutes
# make bench      the quick benchmarks, beside the figures last recorded
# make readme     write the parts of README.md that are made from the code
# make manifests  write the lists in data_manifests that are made from the code
# make lock       pin the newest versions that fit pyproject.toml
# make clean      remove what make demo made; the environment stays

PYTHON ?= python3
DEMO ?= demo
BIN := .venv/bin

.PHONY: help env demo test test-slow bench readme manifests lint check lock clean
help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

# uv comes from the package index into the environment itself: nothing of the
# machine is touched, and a cold install takes seconds where pip takes minutes.
env: .venv/.ready
.venv/.ready: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"mmder: python {v[0]}.{v[1]} found, 3.11 or newer needed: make PYTHON=python3.12 ...")'
	@echo "environment: .venv (PyTorch and what else is pinned in requirements.lock)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: env
	$(BIN)/mmder-prep sample --out $(DEMO)/sample
	$(BIN)/mmder-prep ravdess --root $(DEMO)/sample --out $(DEMO)/store
	$(BIN)/mmder-train --store $(DEMO)/store --strategy cfas --encoder tiny --out $(DEMO)/run

test: env
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: env
	$(BIN)/python -m pytest -m slow --timeout 3600

# What mmder is compared with asks for older versions of what it uses: the lock decides.
bench: env .venv/.bench
	$(BIN)/python benchmarks/quick.py
.venv/.bench: .venv/.ready
	$(BIN)/uv pip install --quiet --python $(BIN)/python --override requirements.lock --group bench
	@touch $@

# What the README shows of the code.
readme: env
	$(BIN)/python tests/readme.py

# What is published of the corpora: full lists, or counts where a licence says so.
manifests: env
	for corpus in ravdess cremad iemocap mead; do \
	  $(BIN)/mmder-prep published $$corpus > data_manifests/$$corpus.csv || exit 1; \
	done

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

# Pins without hosts. The CUDA parts are left to torch itself, which pins its own,
# so that the same lock serves machines without a GPU. One version for all Pythons: the
# one that the tests ran with.
lock: env
	$(BIN)/uv pip compile --quiet --upgrade --all-extras --group dev --python-version 3.11 \
	  --universal --fork-strategy fewest --no-annotate --no-header pyproject.toml \
	  | grep -vE '^(nvidia-|cuda-|triton)' > requirements.lock.new
	mv requirements.lock.new requirements.lock

clean:
	rm -rf $(DEMO)
