"""The accessibility rules of axe-core, run inside a page."""

from importlib.resources import files

import pytest

GRAVE = ("serious", "critical")
RUN = """
const done = arguments[0];
axe.run({ resultTypes: ["violations"] }).then((found) => done(found.violations), (error) => done(String(error)));
"""


def grave_violations(driver):
    """Serious and critical findings as "rule: element", one a broken element."""
    pytest.importorskip("axe_core_python")
    driver.execute_script((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8"))
    driver.set_script_timeout(60)
    found = driver.execute_async_script(RUN)
    assert isinstance(found, list), found
    return [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary'][:160]}"
        for rule in found
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
    ]
