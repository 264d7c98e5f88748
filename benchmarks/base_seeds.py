"""Do contrastive decoding and v7 help on base models of other seeds too?  (about 5 minutes a seed)

    python benchmarks/base_seeds.py BASE BASE BASE

Each BASE is a checkpoint folder that `seednb pocket-base --seed N --output BASE` wrote; N is read
from its recipe, and the images of its run are drawn from world seed N.
"""

import argparse
from pathlib import Path
from typing import Any

from results import write_result

from seednb.core.files import read_json
from seednb.experiments.experiment import Experiment
from seednb.model.pocket_base.build import RECIPE_FILE

ROOT = Path(__file__).parents[1]
MODELS = ("base", "v7", "contrastive")
WANTED = (("chair", "CHAIRi"), ("chair", "recall"), ("pope", "accuracy"), ("pope", "auc"))


def study(base: Path, runs: Path) -> list[dict[str, Any]]:
    """Levels and differences of one base model, in fractions with 95% intervals."""
    seed = read_json(base / RECIPE_FILE)["seed"]
    changes = {"model": str(base.resolve()), "world_seed": seed, "runs_dir": str(runs.resolve())}
    lab = Experiment.open(str(ROOT / "params/pocket.yaml"), changes)
    return [
        {"name": f"seed {seed}", "seed": seed}
        | {
            key: row[key]
            for key in ("model", "versus", "split", "metric", "value", "low", "high", "n")
        }
        for row in lab.metrics(MODELS)
        if (row["benchmark"], row["metric"]) in WANTED
        and row["split"] in (None, "adversarial")
        and row["model"] in MODELS
        and row["versus"] in (None, "base")
    ]


def main() -> None:
    """Study every base and write `results/base_seeds.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bases", nargs="+", type=Path, metavar="BASE")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs/base_seeds")
    options = parser.parse_args()
    rows = [row for base in options.bases for row in study(base, options.runs)]
    changes = [row for row in rows if row["versus"] == "base"]
    headline = {}
    for model in ("contrastive", "v7"):
        mine = [row for row in changes if row["model"] == model]
        worst = {metric: [row for row in mine if row["metric"] == metric] for _, metric in WANTED}
        headline |= {
            f"{model}_largest_CHAIRi_upper_bound": max(row["high"] for row in worst["CHAIRi"]),
            f"{model}_smallest_accuracy_change": min(row["value"] for row in worst["accuracy"]),
            f"{model}_smallest_recall_change": min(row["value"] for row in worst["recall"]),
        }
    for row in changes:
        interval = f"{100 * row['value']:+.2f} [{100 * row['low']:+.2f}, {100 * row['high']:+.2f}]"
        print(f"{row['name']:<8} {row['model']:<12} {row['metric']:<10} {interval} points")
    print(write_result("base_seeds", rows, headline))


if __name__ == "__main__":
    main()
