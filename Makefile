# SPDX-License-Identifier: MIT
# What one does with this repository. Each target installs what it lacks first; see tools/bootstrap.
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
# A file of tests is one process's business: its tests share a broker.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# What failed beside others on a busy machine is told, and has to pass alone.
AGAIN := { echo 'Again, alone:'; $(BIN)/python -m pytest --last-failed --last-failed-no-failures none; }
# Each package's tests are a world of their own: two of them may have files of one name.
TESTS := $(sort $(dir $(wildcard packages/*/tests/*.py)))

.PHONY: help bootstrap demo test test-rabbitmq4 test-all check bench docs format clean

help:
	@echo 'make demo      a bus moves from ZeroMQ to AMQP while messages flow, and every message is counted'
	@echo 'make test      all tests, on the RabbitMQ that is installed'
	@echo 'make test-all  these, and those that use a broker again on RabbitMQ 4.0 (make test-rabbitmq4)'
	@echo 'make check     format, lint, types, import contracts, shell scripts, documentation'
	@echo 'make bench     speed, against the limit and against fedora-messaging 3.9.1'
	@echo 'make docs      the documentation, into docs/_build/html'
	@echo 'make format    put the code in its format'
	@echo 'make clean     remove what was built, and the environment'

bootstrap:
	@tools/bootstrap

demo: bootstrap
	@$(BIN)/python -m demo

test:
	@tools/bootstrap chromium node quadlet network
	$(PYTEST) || $(AGAIN)

test-rabbitmq4:
	@tools/bootstrap chromium node quadlet network rabbitmq4
	export RABBITMQ_ROOT=$(CURDIR)/.cache/rabbitmq4; $(PYTEST) --broker with || $(AGAIN)

test-all: test test-rabbitmq4

check: bootstrap
	$(BIN)/uv lock --check --quiet
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/shellcheck tools/bootstrap tools/install-packages tools/install-quadlet tools/install-rabbitmq4 .ci/run
	$(BIN)/mypy
	$(foreach tests,$(TESTS),MYPYPATH=$(tests) $(BIN)/mypy $(tests) &&) true
	$(BIN)/lint-imports --no-logo
	@$(MAKE) docs

bench: bootstrap
	@$(BIN)/python -m benchmarks

docs: bootstrap
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build/html

format: bootstrap
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis docs/_build
