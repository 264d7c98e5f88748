"""The ledger as it is, and every claim of it settled without any metrics."""

import pytest

from seednb.report.claims import load_claims, settle


@pytest.fixture(scope="module")
def ledger():
    return load_claims()


@pytest.fixture(scope="module")
def settled(ledger):
    return settle(ledger, []).set_index("id")
