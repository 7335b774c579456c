# Every command of this project; CI calls the same ones.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON := .venv/bin/python
ARGS ?=
# A process that compiles all that it imports, and forgets it, takes a second or more at each start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help set-up demo test test-fast test-cluster cluster-up cluster-down cluster-programs manifests release lint format types bench docs pictures clean lock

help: ## list the commands
	@grep -hE '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

set-up: ## install what this machine lacks
	@scripts/set-up

demo: set-up ## the main job, live on this machine (ARGS=--once: check it and end)
	@.venv/bin/binder demo $(ARGS)

test: ## every check and every test
	@scripts/set-up chromium fonts-dejavu-core docker-registry apache2-utils curl postgresql systemd
	@$(MAKE) --no-print-directory lint types
	@$(PYTHON) -m pytest --numprocesses auto --dist loadfile $(ARGS)

test-fast: set-up ## the tests that start no container, proxy or browser
	@$(PYTHON) -m pytest -m 'not slow and not cluster' $(ARGS)

test-cluster: cluster-programs ## the tests on Kubernetes: on KUBECONFIG's cluster, or one of their own
	@$(PYTHON) -m pytest -m cluster $(ARGS)

cluster-up: cluster-programs ## a Kubernetes cluster on this machine, for work by hand
	@$(PYTHON) -m tests.cluster up

cluster-down: set-up ## end it
	@$(PYTHON) -m tests.cluster down

cluster-programs: # the first time, ten minutes
	@scripts/set-up containerd containernetworking-plugins docker-registry \
		nftables iptables ipset iproute2 busybox-static
	@$(PYTHON) -m tests.cluster build

manifests: set-up ## the Helm chart as plain manifests, in dist/ (ARGS="--values mine.yaml")
	@$(PYTHON) -m tests.cluster.helm $(ARGS)

release: set-up ## wheel, chart, action, images and notes of this version, in dist/ (ARGS="--push REGISTRY/PATH")
	@$(PYTHON) -m tests.release $(ARGS)

lint: set-up ## formatter, linter, and who may import whom
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/lint-imports --no-logo

format: set-up ## write the code as the formatter wants it
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

types: set-up ## strict types
	@.venv/bin/mypy

bench: ## all benchmarks, as a table
	@scripts/set-up wrk
	@$(PYTHON) -m tests.bench $(ARGS)

bench-scale bench-scale-full: bench-%: # as below, and the simulated cluster's programs are built if they are not there
	@scripts/set-up postgresql iproute2
	@$(PYTHON) -m tests.bench $*

bench-cluster: cluster-programs # as below, on a real cluster
	@$(PYTHON) -m tests.bench cluster

bench-%: ## one benchmark
	@scripts/set-up wrk
	@$(PYTHON) -m tests.bench $* $(ARGS)

pictures: ## draw the documentation's pictures of a real run
	@scripts/set-up chromium fonts-dejavu-core
	@$(PYTHON) -m tests.pictures

docs: set-up ## draw what the documentation takes from the code
	@$(PYTHON) -m tests.documents

lock: set-up ## resolve the versions in requirements.lock anew
	@.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --group dev --no-annotate --no-header \
		--generate-hashes --no-emit-index-url --upgrade pyproject.toml --output-file requirements.lock

clean: ## remove what the commands above left in this folder
	@rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	@find . -name __pycache__ -prune -exec rm -rf {} +
