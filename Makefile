# Everything a newcomer needs. Each target sets up .venv by itself; only make, and Python 3.11 to 3.13 with its venv
# module, must be there.
PYTHON ?= python3
PRESET ?=
ONLY ?=
SET ?=
JOBS ?= 1
NADS ?=
SWEEP ?=
HOURS ?= 1
MINUTES ?= 5
ROW ?=
SEED ?=
CIFAR ?= data/cifar10
PUBLISHED ?=
SLOW ?=
FRESH ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup reproduce publish report site test campaign record audit statements benchmark lint lab clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## the environment, from the hashed lock, into .venv

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "expected Python 3.11 to 3.13, got %d.%d: call make with PYTHON=python3.12, say" % v)'
	@echo 'setting up $(VENV) from requirements.lock: some minutes, most of them downloads'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

reproduce: $(READY)  ## run the notebooks, then audit the record: PRESET=quick|laptop|paper ONLY="03_nads ..." SET="seed=1 ..." JOBS=2 FRESH=1
	$(BIN)/python -m anisotropy reproduce $(if $(PRESET),--preset $(PRESET)) --jobs $(JOBS) $(if $(ONLY),--only $(ONLY)) $(if $(SET),--set $(foreach value,$(SET),'$(value)')) $(if $(FRESH),--fresh)
	$(if $(PRESET)$(ONLY)$(SET)$(FRESH),,$(MAKE) audit)

publish: $(READY)  ## run the notebooks and write what is committed: notebooks/ and figures/NAME/; ONLY="03_nads ..."
	$(BIN)/python -m anisotropy reproduce --publish $(if $(ONLY),--only $(ONLY))

report: $(READY)  ## figures/local/PRESET/index.html, one file: claims, figures, explorer; yours: NADS="mine.safetensors ..." SWEEP="..."
	$(BIN)/python -m anisotropy report $(if $(PRESET),--preset $(PRESET)) $(if $(NADS),--nads $(NADS)) $(if $(SWEEP),--sweep $(SWEEP))

site: $(READY)  ## site/index.html: verdicts, explorer, articles, guides, API and search, in a folder that opens from disk
	$(BIN)/python -m anisotropy site

test: $(READY)  ## unit tests, then every notebook against its committed outputs
	$(BIN)/python -m pytest tests
	$(BIN)/python -m pytest --nbval --nbval-cell-timeout=1800 --timeout=1800 --nbval-kernel-startup-timeout=120 notebooks

campaign: $(READY)  ## rows of the record in the background, from a clean copy of the commit: HOURS=2 CIFAR=folder ONLY=fig2
	nice -n 19 $(BIN)/python -m anisotropy campaign --hours $(HOURS) --cifar $(CIFAR) $(if $(ONLY),--only $(ONLY))

record: $(READY)  ## add finished rows to results/, which is committed
	$(BIN)/python -m anisotropy record

audit: $(READY)  ## compute lines of the record again, drawn at random: MINUTES=5 ONLY=vgg11 ROW=key SEED=1 PUBLISHED=the authors' data
	$(BIN)/python -m anisotropy audit --minutes $(MINUTES) --only '$(ONLY)' --row '$(ROW)' --cifar $(CIFAR) $(if $(SEED),--seed $(SEED)) $(if $(PUBLISHED),--published $(PUBLISHED))

statements: $(READY)  ## docs/statements.md: each statement of the paper, judged; PUBLISHED=the authors' data, SLOW=1
	$(BIN)/python -m anisotropy statements $(if $(PUBLISHED),--published $(PUBLISHED)) $(if $(SLOW),--slow)

benchmark: $(READY)  ## what it costs, against the naive way: benchmarks/results/README.md; about 35 minutes
	$(BIN)/python benchmarks/run.py

lint: $(READY)  ## ruff on code and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lab: $(READY)  ## read and run the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

clean:  ## remove the environment, the site and what quick made; committed figures stay
	rm -rf $(VENV) figures/local site
