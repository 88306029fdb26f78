# Gatehouse 守望. Two commands matter: `make run` and `make test`. Both do all their own set-up.
PY := .venv/bin/python
# A worker that crashed is not replaced: with files kept together the run would wait for ever (pytest-xdist issue 1378).
# Most tests wait for something: three workers on two cores, in the order of the files (those with few, long tests would come last, one by one).
PYTEST := $(PY) -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 0
.DEFAULT_GOAL := help

.PHONY: help setup run test nightly bench hil train check fix docs shots vendor lock clean

help:            ## this list
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 20

setup:           ## virtual environment, locked packages, Debian packages when missing
	@.ci/setup

run: setup       ## a district: gateway on simulated wires, fleet server, twenty light communities, a city platform
	@$(PY) -m gatehouse_hil estate

test: setup check  ## formats, types, import contracts, then every test (a fifth of the fault rounds)
	$(PYTEST)

nightly: setup check  ## every fault round, long property tests
	GATEHOUSE_ROUNDS=full $(PYTEST) --timeout 1800

bench: setup     ## measured figures beside a named peer's, ratios in one run
	@$(PY) tests/bench

hil: setup       ## the tests of nodes on real boards: make hil RIG=file
	$(PY) -m pytest -q tests/hil/test_gas_interop.py tests/hil/test_button_interop.py tests/hil/test_node_and_gateway.py --rig $(RIG)

train: setup     ## train the throw models from nothing (hours; see docs/throw.md)
	@$(PY) -m pip install --quiet --disable-pip-version-check -e '.[train]'
	$(PY) -m gatehouse_throw chain var/throw models/throw

check:           ## lint, types, import contracts
	@.venv/bin/ruff format --check --quiet . || { echo "run 'make fix'"; exit 1; }
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache | tail -n 3

fix:             ## format and mend what a machine can
	@.venv/bin/ruff check --fix --quiet . || true
	@.venv/bin/ruff format --quiet .

docs: setup      ## write what is generated: the reference of gateway.yaml, the fleet's first migration
	@$(PY) -m gatehouse_config.reference > build-docs.tmp && mv build-docs.tmp docs/configuration.md
	@$(PY) -m gatehouse_fleet.store.migrations.renew

shots: setup     ## pictures of every screen in both themes, to docs/shots
	@$(PY) tests/browser/shots.py

vendor: setup    ## build the consoles' one vendored file from npm's packages (edge/vendor)
	@cd edge/vendor && node build.js

lock:            ## renew the hashed requirement files (needs uv)
	@for role in edge fleet dev; do \
	  uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
	    --no-emit-package gatehouse requirements/$$role.in -o requirements/$$role.txt; done

clean:           ## remove everything that is not in git
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis node_modules var
