# Everything that is run from day to day. `make help` lists it.
# Each target does its own set-up: .venv from the hashed lock, the servers' jars by Maven. What is there is not
# made again.

ifndef PYTHON
PYTHON := $(shell for python in python3.11 python3 python .venv/bin/python; do \
	$$python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && command -v $$python && exit; \
	done; command -v python3 || echo python3.11)
endif
HAVE_PYTHON = command -v $(PYTHON) > /dev/null || { echo "missing: Python 3.11, there is no $(PYTHON):" \
	"apt-get install python3.11 python3.11-venv, or make PYTHON=/path/to/python3.11" >&2; exit 1; }
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SBOM := sbom.json
# No server needed: sockets stay closed.
TESTS := tests/unit tests/contract tests/simulation
# What is guaranteed, on three nodes of Kafka, Cassandra and Redis.
NODES_TESTS := $(addprefix tests/integration/,nodes test_feeds.py test_counts.py test_redis_lost.py \
	test_dead_letters.py kafka/test_transactions.py)

.DEFAULT_GOAL := help
.PHONY: help demo test test-nodes check coverage style format docs sbom up down status clean servers prerequisites

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: servers ## show the whole pipeline at work on real servers
	@$(BIN)/shutterline demo

test: style servers ## every check and every test, with real servers
	@$(BIN)/python -m pytest -n 2 $(TESTS)
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests/integration

test-nodes: servers ## the tests of what is guaranteed, on three nodes of each server, each of which is killed
	@$(BIN)/python -m pytest --nodes 3 --durations 5 $(NODES_TESTS)

check: style ## the fast loop: style, types, import rules, tests without servers
	@$(BIN)/python -m pytest -n 2 --hypothesis-profile=quick $(TESTS)

coverage: $(READY) ## branch coverage of the tests without servers
	@$(BIN)/python -m pytest -n 2 --hypothesis-profile=quick --cov --cov-branch $(TESTS)

style: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## rewrite the sources in the common format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(READY) ## write the references of settings and metrics, and the dashboards
	@$(BIN)/python -m tests.references
	@$(BIN)/python -m infra.monitoring.grafana

sbom: $(READY) ## write sbom.json: the locked packages in CycloneDX
	@$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --validate \
		--output-file $(SBOM) requirements.txt

up: servers ## start what is missing of the local stack; NODES=3 for three nodes, WITH=monitoring for Prometheus
	@$(BIN)/shutterline up $(if $(NODES),--nodes $(NODES)) $(if $(WITH),--with $(WITH))

down: $(READY) ## end the local stack; its data stays
	@$(BIN)/shutterline down

status: $(READY) ## show the processes of the local stack
	@$(BIN)/shutterline status

clean: $(READY) ## end the local stack and forget its data; downloads stay
	@$(BIN)/shutterline clean

servers: prerequisites $(READY) ## fetch the servers' jars
	@$(BIN)/python -m infra.local.install

prerequisites:
	@$(HAVE_PYTHON)
	@$(PYTHON) -m infra.local.prerequisites servers

$(READY): requirements.txt pyproject.toml
	@$(HAVE_PYTHON)
	@$(PYTHON) -m infra.local.prerequisites
	@echo "installing the locked packages into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
