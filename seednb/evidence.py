"""How well the project is tested: the committed results of four checks as small tables.

`benchmarks/mutation.py` changes the mathematics, `kill_points.py` kills runs, `damaged_inputs.py` feeds
what is damaged, and `covered.py` counts the lines that the tests run.
"""

from typing import Any

import pandas as pd

NO_OUTCOMES = ("inputs", "slowest_s")  # the rest of the headline counts outcomes
Result = dict[str, Any]  # as `seednb.planning.benchmark` reads it


def mutant_table(result: Result) -> pd.DataFrame:
    """One line a module: its wrong variants, those that a test noticed, and why the others live.

    A survivor is explained if the change is known to make no difference that a law forbids.
    """
    frame = pd.DataFrame(result["rows"])
    explained = [sum(bool(one["reason"]) for one in row["survivors"]) for row in result["rows"]]
    return pd.DataFrame(
        {
            "module": frame["name"],
            "mutants": frame["mutants"],
            "killed": frame["killed"],
            "share": frame["killed"] / frame["mutants"],
            "survivors explained": explained,
            "not explained": frame["mutants"] - frame["killed"] - explained,
        }
    )


def kill_table(result: Result) -> pd.DataFrame:
    """One line a job: kills, those whose second run ended at the same bytes, and where they fell."""
    frame = pd.DataFrame(result["rows"])
    frame["moment"] = frame["killed_after_s"] / frame["whole_run_s"]
    jobs = frame.groupby("job", sort=False)
    return pd.DataFrame(
        {
            "kill points": jobs.size(),
            "same bytes": jobs["identical"].sum().astype(int),
            "earliest": jobs["moment"].min(),
            "latest": jobs["moment"].max(),
        }
    ).reset_index()


def damage_table(result: Result) -> pd.DataFrame:
    """One line an outcome, those of no input too: how many ended so, and how many were expected to."""
    frame = pd.DataFrame(result["rows"])
    columns = {"inputs": frame["outcome"], "expected": frame["expected"]}
    table = pd.DataFrame({name: column.value_counts() for name, column in columns.items()})
    table = table.reindex([name for name in result["headline"] if name not in NO_OUTCOMES])
    return table.fillna(0).astype(int).rename_axis("outcome").reset_index()


def coverage_table(result: Result) -> pd.DataFrame:
    """One line a folder: lines, the share that the tests run, and modules below four fifths."""
    frame = pd.DataFrame(result["rows"])
    low = [
        ", ".join(f"{module} {share:.0%}" for module, share in row["low"].items())
        for row in result["rows"]
    ]
    return pd.DataFrame(
        {
            "folder": frame["name"],
            "modules": frame["modules"],
            "lines": frame["lines"],
            "share run": frame["share"],
            "below 80%": low,
        }
    )
