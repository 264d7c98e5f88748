"""The claims ledger: every figure and statement of the reproduction, and its verdict.

`settle(load_claims(), metrics_rows)` gives one row a claim; `counts` sums them up.
"""

from seednb.report.claims.ledger import Claim, load_claims
from seednb.report.claims.verdicts import counts, settle

__all__ = ["Claim", "counts", "load_claims", "settle"]
