PYTHON ?= python3
VENV ?= .venv
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check -q

.PHONY: demo test lint soak page docs clean

## demo: core install without torch, then unmask the example photos
demo: .venv-demo/ready
	mkdir -p demo
	.venv-demo/bin/facefill unmask examples/*.jpg -o demo --overwrite
	@echo "The pictures are in demo/; the photos that they came from are in examples/."

.venv-demo/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/python -m pip --disable-pip-version-check -q install -c constraints.txt .
	touch $@

## test: everything that CI runs; installs what the tests need, with the CPU build of torch first
test: $(VENV)/ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	OMP_NUM_THREADS=1 FACEFILL_THREADS=1 $(VENV)/bin/python -m pytest -n 2 -m "not soak" --ignore tests/training
	$(VENV)/bin/python -m pytest -m "not soak" tests/training

soak: $(VENV)/ready
	$(PIP) install -c constraints.txt -e '.[soak]'
	$(VENV)/bin/python -m pytest -m soak

## page: build src/facefill/server/page from web/ (needs Node 20; nothing else does)
page:
	cd web && npm ci && npm run build

## docs: the documentation as a site in build/docs; nothing is fetched when it is read
docs: $(VENV)/ready
	$(PIP) install -c constraints.txt -e '.[docs]'
	$(VENV)/bin/python docs/make_house.py
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build -q

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install "$$(grep '^torch==' constraints.txt)"
	$(PIP) install -c constraints.txt -e '.[train,evaluate,serve,batch,s3,gs,dev]'
	touch $@

clean:
	rm -rf $(VENV) .venv-demo demo build dist .pytest_cache .mypy_cache .ruff_cache
