"""Synthetic notebooks, metric rows and facts for the tests of the report."""

from pathlib import Path

import pandas as pd
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from seednb.report import plots
from seednb.report.html.front.settings import settings_box

HOSTILE = "<script>alert(1)</script>"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
FIGURE = f'<figure class="plot"><img alt="A red dot" src="data:image/png;base64,{PNG}"></figure>'
BAR = " 40%|####      | 4/10 [00:01<00:01,  3.9it/s, loss=0.1]"
WIDGET = """<div id="face"><style>#face { padding: 1rem }</style>
<label>beta <input type="range" min="0" max="2" step="0.1" value="0.6"></label><output>0.6</output>
<script>(() => {
  const root = document.getElementById("face");
  const slider = root.querySelector("input"), output = root.querySelector("output");
  slider.addEventListener("input", () => { output.textContent = slider.value; });
})();</script></div>"""
WIDGET_VIEW = {"application/vnd.jupyter.widget-view+json": {"model_id": "4f", "version_major": 2}}
MODELS = ("v4", "v5", "v6", "v7", "contrastive", "sft", "distill_only", "mention_control")
MODELS += ("sft_truthful", "v7_truthful")
SPANS = {"down": (-0.02, -0.03, -0.01), "flat": (0.0, -0.01, 0.01), "up": (0.03, 0.01, 0.05)}


def shown(html, text="<object>", **more):
    """A displayed object with an HTML face."""
    return new_output("display_data", data={"text/plain": text, "text/html": html, **more})


def said(text, name="stdout"):
    """Something printed."""
    return new_output("stream", name=name, text=text)


def first_notebook():
    """Prose, tables, a figure and messages."""
    wide = "".join(f"<th>column {i}</th>" for i in range(40))
    cells = "".join(f"<td>{i / 7:.3f}</td>" for i in range(40))
    table = f"<table class='dataframe'><thead><tr>{wide}</tr></thead><tr>{cells}</tr></table>"
    return [
        new_markdown_cell(
            "# 01 · Data: what is there\n\n**Shows:** the data.\n\n**Needs** nothing."
        ),
        new_code_cell("injected = 1", metadata={"tags": ["injected-parameters"]}),
        new_markdown_cell("## Sizes\n\n| kind | price |\n| --- | ---: |\n| image | `$5` |"),
        new_code_cell("print('hello')", outputs=[said(f"hello {HOSTILE}\n"), said(BAR, "stderr")]),
        new_code_cell("table", outputs=[shown(table)]),
        new_code_cell("plot", outputs=[shown(FIGURE)]),
        new_markdown_cell("## Sizes\n\nThe same title a second time."),
    ]


def second_notebook():
    """Formulas and widgets."""
    return [
        new_markdown_cell("# 03 · Purification"),
        new_markdown_cell(
            r"## Contrast $\beta$"
            "\n\n"
            r"$$\mathrm{purified} = (1+\beta)\,c - \beta\,n$$"
            "\n\n"
            r"Inline $\log q(v)$, a price of \$5, a span `a $x$ b`, and"
            "\n\n```bash\necho $HOME $PATH\n```"
        ),
        new_code_cell("explorer", outputs=[shown(WIDGET, "BetaExplorer()", **WIDGET_VIEW)]),
        new_code_cell(
            "bar",
            outputs=[new_output("display_data", data={"text/plain": "HBox()", **WIDGET_VIEW})],
        ),
    ]


def folded_notebook():
    """A figure of our own and a long table inside a fold."""
    frame = pd.DataFrame({"model": ["v4", "v7"], "value": 0.01, "low": -0.01, "high": 0.02})
    figure = plots.show(plots.differences(frame, "CHAIRi"), "Two intervals")
    rows = "".join(
        f"<tr><th>{n}</th><td>{n}.0 [1.0, 99.0]</td><td>a sentence that is text</td></tr>"
        for n in range(40)
    )
    head = "<tr style='text-align: right;'><th>n</th><th>points</th><th>meaning</th></tr>"
    table = f"<table class='dataframe'><thead>{head}</thead><tbody>{rows}</tbody></table>"
    return [
        new_markdown_cell("# 05 · Folds"),
        new_markdown_cell("A figure."),
        new_code_cell("figure", outputs=[shown(figure.data)]),
        new_markdown_cell("## More numbers\n\nAll of them."),
        new_code_cell("table", outputs=[shown(table)], metadata={"tags": ["fold"]}),
    ]


def row(model, versus, benchmark, metric, span, split=None):
    """One row of metrics.json."""
    value, low, high = span
    return {
        "model": model,
        "versus": versus,
        "benchmark": benchmark,
        "split": split,
        "variant": "pocket",
        "metric": metric,
        "value": value,
        "low": low,
        "high": high,
        "n": 1000,
        "records": "answers/captions.jsonl",
    }


def numbers(
    effect="down",
    recall="flat",
    caution="flat",
    threshold="down",
    auc="flat",
    gain="up",
    simpler=("down", "flat", "flat"),
    truthful="up",
):
    """Rows in which each comparison of v7 points the given way.

    `simpler`: against supervision alone, distillation alone, contrastive decoding.
    """
    rows = [
        row("base", None, "chair", "CHAIRi", (0.213, 0.2, 0.22)),
        row("v7", None, "chair", "CHAIRi", (0.198, 0.19, 0.21)),
        row("v7", "mention_control", "chair", "CHAIRi", SPANS[caution]),
        row("v7", "threshold_control", "pope", "accuracy", SPANS[threshold], "adversarial"),
    ]
    for versus, way in zip(("sft", "distill_only", "contrastive"), simpler, strict=True):
        rows.append(row("v7", versus, "chair", "CHAIRi", SPANS[way]))
    rows.append(row("v7_truthful", "sft_truthful", "chair", "CHAIRi", SPANS[truthful]))
    for model in MODELS:
        rows += [
            row(model, "base", "chair", "CHAIRi", SPANS[effect]),
            row(model, "base", "chair", "recall", SPANS[recall]),
            row(model, "base", "pope", "accuracy", SPANS[gain], "adversarial"),
            row(model, "base", "pope", "auc", SPANS[auc], "adversarial"),
        ]
    return rows


FACTS = {
    "profile": "pocket",
    "notice": "",
    "parameters": [{"section": "data", "name": "n_pairs", "value": "1600", "default": "400"}],
    "versions": {"torch": "2.13.0"},
    "seeds": {"seed": 7},
    "durations_s": {"01_data": 24.2, "03_purification": 95},
    "artifacts": {"01_data": "6f1c2a9b0d3e"},
    "commit": "no git",
    "skipped": [{"item": "images/1.jpg", "reason": "image is damaged"}],
    "claims": [{"kind": "arithmetic", "verdict": "inconsistent", "claims": 23}],
}
# What the first screen shows beside the rows.
HERO = {
    "model": "v7",
    "image": f"data:image/png;base64,{PNG}",
    "name": "1.jpg",
    "present": ["cat", "dog"],
    "captions": {
        "base": [("A cat and a ", ""), ("bird", "wrong"), (".", "")],
        "v7": [("A cat and a ", ""), ("dog", "found"), (".", "")],
    },
    "counts": {"n_captions": 1000, "gone": 123, "new": 69, "repeated": 4, "n_better": 77, "n_worse": 26},
}  # fmt: skip
FRONT = {
    "hero": HERO,
    "model": {"name": "pocket-llava", "size": "1.4 million", "is_toy": True},
    "settings": settings_box(Path(__file__).parents[1]),
}
# Counts of claims that all differ, so that each is told apart.
CLAIMS = [
    {"kind": kind, "verdict": verdict, "claims": n}
    for kind, verdict, n in (
        ("tried_here", "supported", 5),
        ("tried_here", "not supported", 3),
        ("tried_here", "opposite", 2),
        ("source", "wrong", 4),
        ("arithmetic", "consistent", 7),
        ("arithmetic", "inconsistent", 11),
        ("needs_7b", "needs the 7B run", 13),
    )
]
