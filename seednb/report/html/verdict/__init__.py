"""The verdict: five questions about SEED, and what a reader asks next, answered from the rows."""

from seednb.report.html.verdict.further import Remark, further
from seednb.report.html.verdict.questions import Conclusion, as_frame, judge

__all__ = ["Conclusion", "Remark", "as_frame", "further", "judge"]
