# `make` lists what there is to do. Needs Python 3.11 or newer; nothing else.

SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The first of these that is 3.11 or newer and can make an environment. Override: make install PYTHON=/path/to/python
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
PYTEST := $(BIN)/python -m pytest
NONE_CHOSEN := test $$? -eq 5  # pytest's exit status when ARGS leave it no test
UV_COMPILE := build/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header

.PHONY: help install demo test faults bench fuzz fuzz-hypothesis fuzz-atheris audit lint lock kafka secrets clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

install: $(STAMP)  ## .venv with everything, from the lock file; nothing happens when it is up to date

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo >&2 "make: no Python 3.11 or newer with venv and pip was found" \
		"(on Debian and Ubuntu: apt install python3-venv); or name one: make install PYTHON=/path/to/python"; exit 1; }
	@echo "installing into $(VENV), which takes a minute or two"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --quiet --require-hashes -r requirements.lock
	@$(PIP) install --quiet --no-build-isolation --no-deps -e .
	@touch $@

demo: install  ## the whole service on this machine for a minute, with an incident: make demo ARGS="--seconds 120"
	@$(BIN)/spendstream demo $(ARGS)

test: lint  ## lint, types and all tests; those on the real Kafka need Java 17 and Maven, else they are skipped
	@$(PYTEST) -n $(or $(WORKERS),3) --dist loadfile --no-loadscope-reorder -m 'not alone' $(ARGS) || $(NONE_CHOSEN)
	@$(PYTEST) -m alone $(ARGS) || $(NONE_CHOSEN)

faults: install  ## kill, pause, cut off and lie to the live stages on the real Kafka, for about 40 minutes; writes docs/faults.md
	@$(BIN)/python -m tests.faults $(ARGS)

bench: install  ## CPU, latency, growth and recovery beside other pipelines, 15 minutes on a quiet machine; writes docs/performance.md
	@$(BIN)/python -m tests.bench $(ARGS)

fuzz: fuzz-$(or $(ENGINE),hypothesis)  ## every decoder over very many values: EXAMPLES=20000, or ENGINE=atheris SECONDS=60

fuzz-hypothesis: install
	@SPENDSTREAM_FUZZ_EXAMPLES=$(or $(EXAMPLES),20000) $(BIN)/python -m pytest -q tests/fuzz $(ARGS)

fuzz-atheris: install build/atheris
	@PYTHONPATH=build/atheris $(BIN)/python -m tests.fuzz.guided --seconds $(or $(SECONDS),60) $(ARGS)

build/atheris:  # not in the lock file: it has wheels for Linux alone
	@$(PIP) install --quiet --target $@ 'atheris>=3,<4'

audit: build/audit/bin/pip-audit  ## known vulnerabilities of what the lock file installs; asks the index of Python packages
	@$< --require-hashes --disable-pip --requirement requirements.lock $(ARGS)

build/audit/bin/pip-audit:
	@$(PYTHON) -m venv build/audit
	@build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit

lint: install  ## style, format and strict types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

lock: build/uv/bin/uv  ## resolve pyproject.toml anew: for development, and for the image without the extras
	$(UV_COMPILE) --upgrade --all-extras pyproject.toml -o requirements.lock
	echo hatchling | $(UV_COMPILE) --constraint requirements.lock pyproject.toml - -o requirements-image.lock

build/uv/bin/uv:
	@$(PYTHON) -m venv build/uv
	@build/uv/bin/python -m pip install --quiet --disable-pip-version-check uv

kafka: install  ## fetch the real Apache Kafka for the tests into build/kafka
	@$(BIN)/python -c 'from tests.support.kafka import resolve_jars; resolve_jars()'

secrets: .env  ## passwords for docker compose, made up once and kept in .env

.env:
	@$(PYTHON) -c 'import re, secrets; \
		text = open(".env.example").read(); \
		print(re.sub(r"=$$", lambda _: "=" + secrets.token_urlsafe(24), text, flags=re.M), end="")' \
		> .env.new && chmod 600 .env.new && mv .env.new .env
	@echo "wrote .env"

clean:  ## remove what was built and cached, but not .venv and .env
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
