# Each target prepares its own environment in .venv; nothing needs to be activated.
#   make demo    train, evaluate and predict on handwritten digits (no download)
#   make test    the tests
#   make kills   a training run of 40 epochs, killed 100 times
#   make check   style, types, import order
#   make fuzz    a hundred thousand damaged files
#   make docs    the documentation, into site/
#   make gallery the pictures of README and docs, made anew
#   make notebooks  examples/notebooks, each from top to bottom
#   make bench   speed beside timm, torchvision and transformers

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DOCS_INSTALLED := $(VENV)/.installed-docs
NOTEBOOKS_INSTALLED := $(VENV)/.installed-notebooks
BENCH_INSTALLED := $(VENV)/.installed-bench
TEST_WORKERS ?= 2
# A file's tests stay with one worker, so that what they share is made once.
SHARING := --dist loadfile --no-loadscope-reorder

.PHONY: demo test kills check fuzz docs gallery notebooks bench format clean

demo: $(INSTALLED)
	$(BIN)/python examples/demo.py

test: $(INSTALLED)
	$(BIN)/python -m pytest -n $(TEST_WORKERS) $(SHARING)

fuzz: $(INSTALLED)
	SWINKIT_FUZZ=10000 $(BIN)/python -m pytest tests/fuzz -n $(TEST_WORKERS)

kills: $(INSTALLED)
	SWINKIT_KILLS=100 SWINKIT_KILL_EPOCHS=40 $(BIN)/python -m pytest -s tests/training/test_kills.py

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DOCS_INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

gallery: $(INSTALLED)
	$(BIN)/python docs/gallery.py

notebooks: $(NOTEBOOKS_INSTALLED)
	$(BIN)/jupyter-execute --timeout=600 examples/notebooks/*.ipynb

bench: $(BENCH_INSTALLED)
	$(BIN)/swinkit benchmark --model swin_t --peers --no-compiled
	$(BIN)/python benchmarks/peers.py train

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV)

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

$(DOCS_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

$(NOTEBOOKS_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[notebooks]'
	touch $@

$(BENCH_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@
