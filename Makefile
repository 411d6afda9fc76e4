# Everything this project can be told to do; `make help` lists it. GNU make and a Python >= 3.11 are enough.
#
# How to read it: settings first, then the targets a person types, then the virtual environments. Those are made
# when first needed, and again when pyproject.toml, constraints.txt, the interpreter or this folder's place changes.

# --- settings -------------------------------------------------------------------------------------------------

# TASK and SOURCES are never expanded by make nor pasted into a command: they travel as environment variables, so
# that quotes, dollars and backslashes in them are only text. SOURCES is split at blanks; a file name that holds
# one cannot be given here (give it to `.venv/bin/graphengine run review_loop` itself).
export GRAPHENGINE_TASK := $(value TASK)
export GRAPHENGINE_SOURCES := $(value SOURCES)
unexport TASK SOURCES

# More arguments, in shell syntax, for the main job and for pytest.
RUN_ARGS ?= --output brief.md
ARGS ?=

# How long `make soak` goes on.
SECONDS ?= 600

# The first interpreter that is new enough (or the one in PYTHON), and a name for "this version, in this folder".
PROBE := import os, sys, zlib; sys.version_info >= (3, 11) or sys.exit(1); \
  print(sys.argv[1], "python-%d.%d.%d-%08x" % (*sys.version_info[:3], zlib.crc32(os.getcwdb())))
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14)
FOUND := $(shell for p in $(CANDIDATES); do "$$p" -c '$(PROBE)' "$$p" 2>/dev/null && break; done)
INTERPRETER := $(word 1,$(FOUND))
IDENTITY := $(word 2,$(FOUND))
ifndef FOUND
$(error No Python >= 3.11 among: $(CANDIDATES). Install one, or name it: make PYTHON=/path/to/python3)
endif

BIN := .venv/bin
SERVER_FOLDERS := tests/models/aimock tests/agents/mcp_reference
SERVERS := $(SERVER_FOLDERS:%=%/node_modules/.package-lock.json)
check = @printf '\n== %s\n' '$(1)'; $(BIN)/$(1)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help run demo test lint pytest soak format servers bench pin clean

# --- targets --------------------------------------------------------------------------------------------------

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

run: .venv/ready-run ## the main job, the review loop: make run [TASK="…" SOURCES="a.md b.md"]
	@set -- run review_loop; \
	[ -z "$$GRAPHENGINE_TASK" ] || set -- "$$@" --input "task=$$GRAPHENGINE_TASK"; \
	for source in $$GRAPHENGINE_SOURCES; do set -- "$$@" --input "sources=@$$source"; done; \
	exec $(BIN)/graphengine "$$@" $(RUN_ARGS)

demo: .venv/ready-run ## run every bundled workflow without a key; results and pictures go to demo/
	$(BIN)/python scripts/demo.py demo

test: lint ## every check: lint, then the tests: those with branch coverage, and beside them those that search
	@printf '\n== %s\n' 'pytest --cov -m "not search", and beside it pytest -m search'
	@$(BIN)/pytest -m search -p no:cacheprovider >.search.log 2>&1 & search=$$!; \
	trap 'kill $$search 2>/dev/null; rm -f .search.log; exit 130' INT TERM; \
	$(BIN)/pytest --cov -m "not search"; tests=$$?; \
	wait $$search; searches=$$?; \
	cat .search.log; rm -f .search.log; \
	[ $$tests -eq 0 ] && [ $$searches -eq 0 ]

lint: .venv/ready-test ## style, types and layers, without the tests
	$(call check,ruff check)
	$(call check,ruff format --check)
	$(call check,mypy)
	$(call check,basedpyright --pythonpath $(BIN)/python)
	$(call check,lint-imports --no-logo)

pytest: .venv/ready-test ## the tests alone: make pytest [ARGS="-k plateau -x"]
	$(BIN)/pytest $(ARGS)

soak: .venv/ready-test ## random commands, crashes and inputs until the time is over: make soak [SECONDS=600 ARGS="--seed 7"]
	$(BIN)/python scripts/soak.py --seconds $(SECONDS) $(ARGS)

format: .venv/ready-test ## let ruff format and mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

servers: $(SERVERS) ## install the servers that some tests ask, of models and of MCP (needs npm; else they are skipped)

bench: .venv-bench/ready ## the benchmarks, side by side with other libraries (an environment of their own)
	.venv-bench/bin/python -m benchmarks $(ARGS)

pin: .venv-pin/ready ## write constraints.txt anew, with the newest versions that fit pyproject.toml
	.venv-pin/bin/python scripts/pin.py

clean: ## remove environments, caches and builds; recorded runs stay
	rm -rf .venv .venv-bench .venv-pin build dist htmlcov .coverage .coverage.*
	rm -rf $(SERVER_FOLDERS:%=%/node_modules)
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- virtual environments -------------------------------------------------------------------------------------

# An empty file in each says which interpreter it was made with, another what has been installed since. pip takes
# the constraints from the environment, so that they hold for what it builds with as well (newer ones read the
# second variable for that).
install = @printf 'Installing graphengine[%s] into %s\n' '$(1)' '$(@D)'; \
  PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
  $(@D)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[$(1)]' && touch $@

.venv/ready-run: .venv/$(IDENTITY) pyproject.toml constraints.txt
	$(call install,workflows)

.venv/ready-test: .venv/$(IDENTITY) pyproject.toml constraints.txt
	$(call install,dev)
	@touch .venv/ready-run

.venv-bench/ready: .venv-bench/$(IDENTITY) pyproject.toml constraints.txt
	$(call install,bench)

.venv-pin/ready: .venv-pin/$(IDENTITY)
	@.venv-pin/bin/python -m pip install --quiet --disable-pip-version-check uv && touch $@

# The file is npm's own list of what it installed.
%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	@npm ci --prefix $* --ignore-scripts --loglevel=error && touch $@

%/$(IDENTITY):
	@"$(INTERPRETER)" -m venv --clear $(@D) && touch $@
