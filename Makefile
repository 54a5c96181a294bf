# Needs GNU make and python3 (3.10 or newer). Everything else is installed into .venv, once; `uv` is used if it is there.

PYTHON ?= python3
RENDERER ?= embedded
LAB_RUNS ?= 10

BIN := .venv/bin
SUITE = $(BIN)/coverage run -m pytest --numprocesses auto --dist worksteal -m 'not lab'
LAB = $(BIN)/coverage run -m pytest -m 'lab and not fresh'
PROTOCOL := jobqueue/tokens.py,jobqueue/share/*.py,jobqueue/hierarchy.py
SETTINGS := pyproject.toml constraints.txt setup.py
UV := $(shell command -v uv 2>/dev/null)

# "compat": a plain path in .pth, which costs a starting interpreter less than setuptools' import hook.
ifdef UV
install = uv pip install --quiet --python $(1)/bin/python -c constraints.txt -C editable_mode=compat
venv = uv venv --quiet --python $(PYTHON) $(1)
else
install = $(1)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --config-settings editable_mode=compat
venv = $(PYTHON) -m venv $(1)
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test simulate faults sabotage lab bench lint format docs clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: .venv/dev ## everything for work on the project, in .venv (the other targets do it by themselves)

demo: .venv/demo ## render an animation with three workers into ./demo (RENDERER=embedded|povray|blender|tachyon)
	@$(BIN)/python examples/demo.py --renderer $(RENDERER)

# The lab runs beside the others, one guest at a time; what it has said comes after them. In CI the bounds are enforced:
# 95 % of all, and every line and branch of the modules that the protocol rests on.
test: .venv/dev ## all tests, with branch coverage (CI=1: a missing program or low coverage is a failure)
	@rm -f .coverage .coverage.*
	$(if $(PYTEST_ARGS),$(SUITE) $(PYTEST_ARGS),@tests/beside.sh "$(LAB)" "$(SUITE)")
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report $(if $(CI),,--fail-under=0)
	$(if $(CI),$(BIN)/coverage report --fail-under=100 --include=$(PROTOCOL))

simulate: .venv/dev ## 5,000 schedules on a share that lies (SIMULATE_ARGS="--seed 17", "--all parent --jobs 2")
	$(BIN)/python -m tests.simulation $(or $(SIMULATE_ARGS),--seeds 0-5000 --jobs 2)

faults: .venv/dev ## death and errors at every call of every flow and of the real programs (CI: a part a day)
	FAULTS=all $(BIN)/python -m pytest tests/faults tests/acceptance/worker/test_every_call.py \
	  tests/acceptance/cli/test_every_call_of_people.py

sabotage: .venv/dev ## breaks the protocol on purpose, line by line; the tests have to notice (SABOTAGE_ARGS="NAME|--part N/M")
	@$(BIN)/python -m tests.sabotage $(SABOTAGE_ARGS)

lab: .venv/dev ## all kinds of shares in real guests: tests, faults, power cuts, recovery times (LAB_RUNS=10 of each)
	JOBQUEUE_LAB_KIND=all $(BIN)/python -m pytest -m lab tests/lab
	@for kind in nfs3 nfs4.2 smb; do $(BIN)/python -m tests.lab.torture --share $$kind --runs $(LAB_RUNS) || exit 1; done
	@for kind in local nfs3 nfs4.2 smb; do $(BIN)/python -m tests.lab.power --share $$kind --cuts $(LAB_RUNS) || exit 1; done
	@$(BIN)/python -m tests.lab.recovery

bench: .venv/dev .venv/bench/ready ## our bars, and other queues side by side: most of an hour (BENCH_ARGS=--quick: some minutes)
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

lint: .venv/dev ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/dev ## let ruff format the code and mend what it can
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

docs: .venv/dev ## the documentation, in docs/_build/index.html
	$(BIN)/sphinx-build -W --keep-going -q docs docs/_build

clean: ## remove what the other targets made
	rm -rf .venv .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build demo docs/_build *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

# The stamps below say which set is installed; they are touched last, so that a set-up that was cut short starts over.
.venv/python: $(SETTINGS)
	@echo "Setting up .venv (once, with $(if $(UV),uv,pip))."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "jobqueue needs Python 3.10 or newer: make PYTHON=python3.12")'
	@rm -rf .venv
	@$(call venv,.venv)
	@touch $@

.venv/demo: .venv/python
	@$(call install,.venv) -e '.[demo]'
	@touch $@

.venv/dev: .venv/python
	@$(call install,.venv) -e '.[test,docs,lint]'
	@touch $@ .venv/demo

# Other queues bring much along, so they get an environment of their own; it is part of .venv, and goes with it.
.venv/bench/ready: .venv/python
	@echo "Setting up .venv/bench (once)."
	@rm -rf .venv/bench
	@$(call venv,.venv/bench)
	@$(call install,.venv/bench) -e '.[bench]'
	@touch $@
