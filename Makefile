# Two commands do all the set-up: `make demo` and `make test`.
SHELL := /bin/bash
BIN := .venv/bin
TO ?= demo-out

.PHONY: demo demo-long demo-offline test test-slow test-faults test-gpu check format schemas clean

.venv/.ready: pyproject.toml constraints.txt
	@set -e; py=; for p in $(or $(PYTHON),python3.12 python3.11 python3 python); do \
	  if $$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] <= (3,12))' 2>/dev/null; then py=$$p; break; fi; done; \
	if [ -z "$$py" ]; then echo "curate needs Python 3.11 or 3.12 and found neither as: $(or $(PYTHON),python3.12 python3.11 python3 python). Install one, or say where it is: make demo PYTHON=/path/to/python3.12" >&2; exit 1; fi; \
	$$py -m venv .venv; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'; \
	touch $@

demo: .venv/.ready  ## the whole mission on an embedded corpus, offline
	$(BIN)/curate demo --to $(TO)

demo-long: .venv/.ready  ## the same, trained until shapes and colours are right
	$(BIN)/curate demo --to $(TO) --long

demo-offline: .venv/.ready  ## the demo where only loopback exists: proves that it needs no network
	unshare $$([ "$$(id -u)" = 0 ] || echo --map-root-user) --net sh -c \
	  'ip link set lo up && exec $(BIN)/curate demo --to $(TO)'

test: .venv/.ready
	$(BIN)/python -m pytest

test-slow: .venv/.ready
	$(BIN)/python -m pytest -m slow

test-faults: .venv/.ready
	$(BIN)/python -m pytest -m fault

test-gpu: .venv/.ready
	$(BIN)/python -m pytest -m gpu

check: .venv/.ready
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: .venv/.ready
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

schemas: .venv/.ready  ## write schemas/*.json anew from the code
	$(BIN)/python -m curate.schemas

clean:
	rm -rf .venv demo-out build dist
