PYTHON ?= python3
VENV ?= .venv
SOURCES := $(shell find src -type f -not -name '*.pyc')
NEW_ENOUGH = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	"facefill needs Python 3.11 or newer, and this is %d.%d: name another, as in make PYTHON=python3.12" % sys.version_info[:2])'
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check -q

.PHONY: demo test lint soak page docs docs-check results clean

## demo: core install without torch, then unmask the example photos and show them before and after
demo: .venv-demo/ready
	mkdir -p demo
	.venv-demo/bin/facefill unmask examples/*.jpg -o demo --overwrite
	.venv-demo/bin/python examples/sheet.py examples demo demo/sheet.jpg

.venv-demo/ready: pyproject.toml constraints.txt $(SOURCES)
	@$(NEW_ENOUGH)
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/python -m pip --disable-pip-version-check -q install -c constraints.txt .
	touch $@

## lint: rules, format and types, as CI checks them; the page's too where its packages are installed (npm ci in web/)
lint: $(VENV)/ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	if [ -d web/node_modules ]; then cd web && npm run lint && npm test; fi

## test: everything that CI runs; installs what the tests need, with the CPU build of torch first
test: lint
	OMP_NUM_THREADS=1 FACEFILL_THREADS=1 $(VENV)/bin/python -m pytest -n 2 -m "not soak" --ignore tests/training
	$(VENV)/bin/python -m pytest -m "not soak" tests/training

soak: $(VENV)/ready
	$(PIP) install -c constraints.txt -e '.[soak]'
	$(PYTHON) -m venv $(VENV)/clients   # its pins are not ours
	$(VENV)/clients/bin/python -m pip --disable-pip-version-check -q install openapi-python-client==0.29.1
	if command -v npm > /dev/null; then (cd tests/server/clients && npm ci) && (cd web && npm ci); fi
	OPENAPI_PYTHON_CLIENT=$(VENV)/clients/bin/openapi-python-client $(VENV)/bin/python -m pytest -m soak

## page: build src/facefill/server/page from web/ (needs Node 20; nothing else does)
page: $(VENV)/ready
	$(VENV)/bin/python web/describe.py > web/openapi.json
	cd web && npm ci && npm run types && npm test && npm run build

## results: the tables of docs/results.md, the searches' in docs/latent-search.md, verification's in docs/context-encoder.md;
## DATASET=FACES, and networks to judge by
NETWORKS = swift,context_encoder,contextual_attention,masked_gan
RULES = telea,navier_stokes,total_variation,biharmonic,patchmatch
METHODS = $(NETWORKS),latent_search:100,dip:100,$(RULES)
WHOLE = $(NETWORKS),$(RULES)
COMMA = ,
HOLES = centre@256,worn@256,random80@64,freeform40@256,eyes@256
FINE = swift,telea,navier_stokes,total_variation,biharmonic
DROPPED = random20@64,random40@64,random60@64,random80@64
VERIFIED = context_encoder,telea
MASKED = worn@256,worn-auto@256
results: $(VENV)/ready
	$(PIP) install -c constraints.txt -e '.[classic]'
	$(VENV)/bin/facefill evaluate $(DATASET) --split test-celeba --limit 200 --methods $(METHODS) --holes $(HOLES) \
	    $(if $(FEATURES),--features $(FEATURES)) $(if $(HEADS),--lpips-heads $(HEADS)) \
	    $(if $(EMBEDDER),--embedder $(EMBEDDER)) --no-timings --report build/all-methods --results docs/results.md
	$(VENV)/bin/facefill evaluate $(DATASET) --split test-celeba --limit 100 --methods latent_search,dip \
	    --holes $(DROPPED) --no-timings --report build/searches --results docs/latent-search.md
	$(if $(EMBEDDER),$(VENV)/bin/facefill evaluate $(DATASET) --split test-celeba --limit 240 --methods $(VERIFIED) \
	    --holes $(MASKED) --embedder $(EMBEDDER) --no-timings --report build/verification --results docs/context-encoder.md)
	$(if $(PHOTOS),$(VENV)/bin/facefill evaluate $(PHOTOS) --limit 60 --methods $(WHOLE) --no-timings \
	    --holes photo-worn --report build/photos --results docs/results.md)
	$(if $(PHOTOS),$(VENV)/bin/facefill evaluate $(PHOTOS) --limit 60 --methods $(FINE) --no-timings \
	    --holes photo-scratch --report build/scratch --results docs/results.md)
	$(if $(EMBEDDER),FACES=$(DATASET) EMBEDDER=$(EMBEDDER) $(VENV)/bin/python benchmarks/tables.py write docs/results.md \
	    leakage --of src/facefill/datasets/against.py$(COMMA)src/facefill/datasets/duplicates.py \
	    --by 'python benchmarks/leakage.py FACES --embedder EMBEDDER')

## docs-check: which tables of the documentation are older than the code or weights that they speak of
docs-check: $(VENV)/ready
	$(VENV)/bin/python benchmarks/tables.py check

## docs: the documentation as a site in build/docs; nothing is fetched when it is read
docs: $(VENV)/ready
	$(PIP) install -c constraints.txt -e '.[docs]'
	$(VENV)/bin/python docs/make_house.py
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build -q

$(VENV)/ready: pyproject.toml constraints.txt
	@$(NEW_ENOUGH)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install "$$(grep '^torch==' constraints.txt)"
	$(PIP) install -c constraints.txt -e '.[train,prepare,evaluate,serve,batch,s3,gs,video,dev]'
	touch $@

clean:
	rm -rf $(VENV) .venv-demo demo build dist .pytest_cache .mypy_cache .ruff_cache
