PYTHON ?= python3
SEEDNB = .venv/bin/seednb
STAMP = .venv/installed
TEST_STAMP = .venv/installed-for-tests

.PHONY: report test fast hooks lab clean

report: $(STAMP)  ## run the notebooks that changed, build reports/pocket/index.html
	$(SEEDNB) report --params params/pocket.yaml

test: $(TEST_STAMP)  ## lint, types, import contract, tests
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports && .venv/bin/python -m pytest

fast: $(TEST_STAMP)  ## the tests that take less than three seconds each
	.venv/bin/python -m pytest -m "not slow"

hooks: $(TEST_STAMP)  ## from now on, check every commit
	.venv/bin/pip install pre-commit && .venv/bin/pre-commit install

lab: $(STAMP)  ## JupyterLab on the notebooks
	.venv/bin/jupyter lab --notebook-dir=notebooks

clean:  ## remove environment, finished stages and reports
	rm -rf .venv runs reports/*/ reports/index.html

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv && .venv/bin/pip install -c constraints.txt -e ".[notebooks]" && touch $@

$(TEST_STAMP): $(STAMP)
	.venv/bin/pip install -c constraints.txt -e ".[notebooks,test]" && touch $@
