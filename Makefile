# Two commands matter: `make book` and `make test`. Both set up .venv first, skip what is done, and need Python 3.11 and, the first time, a network.
PYTHON ?= python3.11
RUN := .venv/bin/python
STAMP := .venv/.installed

.PHONY: help book test check sync lock upgrade clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

book: $(STAMP) ## execute the notebooks and render the book; prints the path of index.html
	@$(RUN) book/build.py

test: $(STAMP) ## everything that guards the project: lint, tests, the book, its pages in a browser
	@$(RUN) -m ruff check . && $(RUN) -m ruff format --check .
	@$(RUN) -m pytest --ignore=tests/browser
	@$(RUN) book/build.py
	@$(RUN) -m pytest tests/browser

check: $(STAMP) ## lint and the quick tests
	@$(RUN) -m ruff check . && $(RUN) -m ruff format --check .
	@$(RUN) -m pytest -q -m "not slow" --ignore=tests/browser

sync: $(STAMP) ## make each notebook's .ipynb agree with its .md
	@$(RUN) -m jupytext --quiet --to ipynb notebooks/*.md

lock: $(STAMP) ## write requirements.lock from pyproject.toml, changing as little as possible
	@$(RUN) book/lock.py

upgrade: $(STAMP) ## write requirements.lock with the newest versions
	@$(RUN) book/lock.py --upgrade

clean: ## remove what was built; data/ stays
	rm -rf _build .venv

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) not found: install Python 3.11, or name one with make PYTHON=..."; exit 1; }
	@$(PYTHON) book/install.py
	@touch $@
