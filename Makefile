# Two commands matter: `make book` and `make test`. Both set up .venv first and skip what is done. They
# need Python 3.11, 3.12 or 3.13 and, the first time, a network.
PYTHON ?= $(shell sh book/find_python.sh)
RUN := .venv/bin/python
export OBV_PROFILE := $(or $(PROFILE),$(OBV_PROFILE),mini)
STAMP := .venv/.installed
# Processes that share the tests, file by file; 0 runs them one after another in one.
WORKERS ?= 2
# In a browser and without the rendered book: they run while it is built, which leaves a core idle.
BOOKLESS := tests/browser/test_inspector.py tests/browser/test_page_checks.py \
	tests/browser/test_widgets.py
# Seconds each, and what most changes break: the project's promises, records, scoring.
QUICK := tests/test_project.py tests/test_records.py tests/test_settings.py tests/test_scoring.py \
	tests/test_answers.py tests/test_positions.py tests/test_frame_policy.py

.PHONY: help book test check chapter sync campaign pythons lock upgrade clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

book: $(STAMP) ## execute the notebooks and render the book; PROFILE=gpu for real weights
	@$(RUN) book/build.py

chapter: $(STAMP) ## execute one chapter and render the book: make chapter N=08
	@$(RUN) book/build.py --only $(N)

test: $(STAMP) ## everything that guards the project: check, all tests, the book, its pages
	@$(RUN) book/check.py
	@$(RUN) -m pytest --ignore=tests/browser -n $(WORKERS) --dist loadfile \
		--cov=obvlib --cov-report=term:skip-covered
	@mkdir -p _build; $(RUN) -m pytest $(BOOKLESS) > _build/browser.log 2>&1 & tests=$$!; \
	trap "kill $$tests" INT TERM; \
	$(RUN) book/build.py; built=$$?; wait $$tests; tested=$$?; cat _build/browser.log; \
	exit $$((built + tested))
	@$(RUN) -m pytest tests/browser $(BOOKLESS:%=--ignore=%) -n $(WORKERS) --dist loadfile

check: $(STAMP) ## in a minute: lint, types, spelling, links, and the quick tests
	@$(RUN) book/check.py $(QUICK)

sync: $(STAMP) ## make each notebook's .ipynb agree with its .md
	@$(RUN) -m jupytext --quiet --to ipynb notebooks/*.md

campaign: $(STAMP) ## hours: kills, fuzz and odd files at full length; `make test` runs samples of them
	@for script in tests/faults/campaign_*.py; do $(RUN) $$script || exit 1; done

pythons: ## the quick tests under every supported Python that this machine has, newest releases
	@$(PYTHON) book/pythons.py $(QUICK)

lock: $(STAMP) ## write requirements.lock from pyproject.toml, changing as little as possible
	@$(RUN) book/lock.py

upgrade: $(STAMP) ## write requirements.lock with the newest versions
	@$(RUN) book/lock.py --upgrade

clean: ## remove what was built; data/ stays
	rm -rf _build .venv .venv-*

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11, 3.12 or 3.13 found: install one, or name it with make PYTHON=..."; exit 1; }
	@$(PYTHON) book/install.py
	@touch $@
