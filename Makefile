# `make bench` and `make test` each work as the first command in a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RESULTS ?= results
SUITES ?= digits edge
EXTRAS ?= onnx,torch# what a baseline's own interpreter has; onnx-gpu,torch where .venv has that
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup bench quick test check format overhead parity gpu selftest race-simulation decision-bench nightly baseline release-report night-simulation docs clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

setup: $(STAMP) ## make .venv with everything the project needs

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	rm -rf *.egg-info # a stale one here would hide newly registered plug-ins
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]'
	@touch $@

bench: setup ## the main job: measure and rank the digits suite on this machine
	$(BIN)/harness run digits --controls

quick: setup ## the same with two candidates, in seconds
	$(BIN)/harness run quick

test: check ## lint, types, import contracts, and all tests
	$(BIN)/python -m pytest

check: setup ## lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## put the code into its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

overhead: setup ## what measuring costs, and what it gains; one figure: tests/overhead/report.py --only rounds
	$(BIN)/python -m pytest tests/overhead --benchmark-only --benchmark-disable-gc -p no:cacheprovider
	$(BIN)/python tests/overhead/report.py

gpu: setup ## what the figures of a GPU are worth; needs one, and a CUDA build of torch in .venv
	$(BIN)/python -m pytest -m gpu tests/gpu
	$(BIN)/python tests/gpu/report.py --out results/gpu

parity: setup ## our traffic against MLPerf LoadGen's, on the same models
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[parity]'
	$(BIN)/python tests/overhead/parity.py

selftest: setup ## prove the instrument honest
	$(BIN)/harness selftest

race-simulation: setup ## the race's error rate and saving, simulated
	$(BIN)/python tests/stats/race_simulation.py

decision-bench: setup ## the race against measuring everything, on real models
	$(BIN)/python tests/overhead/decision_bench.py

nightly: setup ## suite nightly against its stored baseline; a confirmed regression is error 4
	$(BIN)/harness nightly --out $(RESULTS)

baseline: setup ## measure suite nightly five times on this machine, and keep that with a copy of this version
	$(PYTHON) -m venv --clear $(RESULTS)/baseline/venv
	$(RESULTS)/baseline/venv/bin/python -m pip install --quiet --constraint constraints.txt '.[$(EXTRAS)]'
	rm -rf $(RESULTS)/baseline/runs
	for number in 1 2 3 4 5; do $(BIN)/harness run nightly --exhaustive --out $(RESULTS)/baseline/runs || exit $$?; done
	$(BIN)/harness baseline $(RESULTS)/baseline/runs/*-nightly-* --out $(RESULTS) \
		--python $(abspath $(RESULTS))/baseline/venv/bin/python --why '$(WHY)'
	rm -rf $(RESULTS)/baseline/runs

release-report: setup ## measure SUITES, and write results/release/VERSION with reports, comparison, provenance, checksums
	for suite in $(SUITES); do $(BIN)/harness run $$suite --exhaustive --controls --out $(RESULTS) || exit $$?; done
	$(BIN)/harness release $(SUITES) --out $(RESULTS) $(if $(VERSION),--version $(VERSION)) $(if $(BASELINE),--baseline $(BASELINE))

night-simulation: setup ## false alarms and misses of the nightly comparison, simulated
	$(BIN)/python tests/stats/night_simulation.py

docs: setup ## the manual, into build/docs; strict
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	cd docs && ../$(BIN)/python -m mkdocs build --strict -f mkdocs.yml

clean: ## remove what was built (results stay)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
