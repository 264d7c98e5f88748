PYTHON ?= python3
SEEDNB = .venv/bin/seednb
STAMP = .venv/installed
TEST_STAMP = .venv/installed-for-tests

.PHONY: report test fast hooks coverage mutation lab clean

report: $(STAMP)  ## run the notebooks that changed, build reports/pocket/index.html
	$(SEEDNB) report --params params/pocket.yaml

test: $(TEST_STAMP)  ## lint, types, import contract, tests
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports && .venv/bin/python -m pytest

coverage: $(TEST_STAMP)  ## statements that the tests run: a table, and coverage.json
	.venv/bin/coverage run -m pytest && .venv/bin/coverage combine -q && .venv/bin/coverage report && .venv/bin/coverage json -q

mutation: $(TEST_STAMP)  ## wrong changes to the mathematics that the tests notice (half an hour)
	.venv/bin/pip install -c constraints.txt -e ".[mutation]"
	.venv/bin/mutmut run && .venv/bin/mutmut export-cicd-stats

fast: $(TEST_STAMP)  ## the tests that take less than three seconds each
	.venv/bin/python -m pytest -m "not slow"

hooks: $(TEST_STAMP)  ## from now on, check every commit
	.venv/bin/pip install pre-commit && .venv/bin/pre-commit install

lab: $(STAMP)  ## JupyterLab on the notebooks
	.venv/bin/jupyter lab --notebook-dir=notebooks

clean:  ## remove environment, finished stages and reports
	rm -rf .venv mutants coverage.json runs
	find reports -mindepth 1 -maxdepth 1 ! -name README.md ! -name example -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv && .venv/bin/pip install -c constraints.txt -e ".[notebooks]" && touch $@

$(TEST_STAMP): $(STAMP)
	.venv/bin/pip install -c constraints.txt -e ".[notebooks,test]" && touch $@
