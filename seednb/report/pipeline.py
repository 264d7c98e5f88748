"""The main job: run the numbered notebooks that changed, then build the report."""

import json
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat

from seednb.core.code import code_fingerprint, imported_modules
from seednb.core.console import bar
from seednb.core.errors import SeedError
from seednb.core.files import LOCK, locked, read_json, write_bytes, write_json, writing
from seednb.core.profiles import SECTIONS, Params, describe, read_profile
from seednb.core.stage import digest, fingerprint, git_commit, versions
from seednb.experiments import stages
from seednb.experiments.experiment import METRICS, Experiment
from seednb.experiments.published import scored_rows
from seednb.experiments.sweep.ahead import make_ahead
from seednb.report.execution import execute
from seednb.report.html import build_report, write_facts, write_index
from seednb.report.html.front.hero import model_facts
from seednb.report.html.front.settings import caption_rates, settings_box

EXECUTED = "notebook.ipynb"
RECORD = "step.json"
ASKED, ANSWERED = stages.QUESTIONS, (*stages.ASKING, "pope_parser")
RESAMPLED = ("resamples", "bootstrap_seed")
TRAINED = ("data", "model", "train", *ASKED, *ANSWERED, *RESAMPLED)


@dataclass(frozen=True)
class PipelineStep:
    """One notebook: the parameters it depends on and the notebooks whose results it shows."""

    notebook: str
    uses: tuple[str, ...]  # sections or single parameters
    needs: tuple[str, ...] = ()
    reads: str = ""  # pattern of files of the project that it shows
    picks_up: str = ""  # pattern of files below runs/<profile> that it shows
    on_request: bool = False  # long: runs when named or with --all; shown once it has run
    shows: tuple[str, ...] = ()  # steps on request: what they found is shown once they have run

    @property
    def number(self) -> str:
        """The two digits that name the step on the command line."""
        return self.notebook[:2]


STEPS = (
    PipelineStep("01_data", ("data", *ASKED)),
    PipelineStep("02_teacher", ("data", "model", *ASKED, *ANSWERED, *RESAMPLED), ("01",)),
    PipelineStep("03_purification", ("data", "model", "train", *ASKED, *ANSWERED), ("01",)),
    PipelineStep("04_train_v4", TRAINED, ("01",), reads="notebooks/05_train_v5.ipynb"),
    PipelineStep("05_train_v5", TRAINED, ("04",)),
    PipelineStep("06_train_v6", TRAINED, ("05",)),
    PipelineStep("07_train_v7", TRAINED, ("06",)),
    PipelineStep(
        "08_evaluation",
        (*TRAINED, "evaluation", "benchmarks_dir"),
        ("02", "04", "05", "06", "07"),
        picks_up="scores-*/scores.json",
    ),
    PipelineStep("09_claims", (*TRAINED, "evaluation", "ablation"), ("08",), shows=("10",)),
    PipelineStep("10_ablations", (*TRAINED, "evaluation", "ablation"), ("01",), on_request=True),
    PipelineStep("11_beyond", (*TRAINED, "evaluation", "ablation"), ("01",), on_request=True),
    PipelineStep("12_engine", (), reads="benchmarks/results/*.json"),
    PipelineStep("13_faults", (*TRAINED, "monitor"), ("07",)),
)


class Pipeline:
    """The steps of one profile, each in `runs/<profile>/<notebook>-<key>/`.

    Each runs as `papermill NOTEBOOK OUT -f PROFILE -p key value` does, with that folder as its output_dir.
    """

    def __init__(self, params_file: Path, overrides: dict[str, Any], params: Params) -> None:
        """`params` are the resolved parameters of `params_file` with `overrides`."""
        self.params, self.params_file = params, params_file.resolve()
        # a profile of its own, even where the file names none
        profile = {"profile": params.run.profile, "generator": params.data.generator}
        self.injected = profile | read_profile(params_file) | overrides
        self.notebooks = params.root / "notebooks"
        self.runs = params.path(params.run.runs_dir) / params.run.profile
        self.steps = {step.number: step for step in STEPS}
        self.keys: dict[str, str] = {}
        for step in sorted(STEPS, key=lambda step: bool(step.shows)):
            self.keys[step.number] = self._key(step)

    def folder(self, step: PipelineStep) -> Path:
        """Where the executed notebook and its artifacts lie."""
        return self.runs / f"{step.notebook}-{self.keys[step.number]}"

    def is_done(self, step: PipelineStep) -> bool:
        """Whether the step was run with exactly these parameters, this code and this text."""
        return (self.folder(step) / RECORD).is_file()

    def run(self, only: Iterable[str] = (), force: bool = False, everything: bool = False) -> Path:
        """Run what is not done, then build the report; returns the report's path.

        Without `only`, the chapters of the main job run; `everything` adds those on request.
        A notebook that fails stops the run with a SeedError; finished steps stay finished, and the
        report of the finished chapters is written. While one run is at work, a second one of the
        same profile is refused.
        """
        chosen = self.chosen(only, everything)
        with locked(self.runs / f"report{LOCK}", f"the report {self.runs}"):
            return self._run(chosen, force)

    def _run(self, chosen: Sequence[PipelineStep], force: bool) -> Path:
        shown = [step for step in STEPS if step.shows and self.is_done(step)]
        steps = [*chosen, *(step for step in shown if step not in chosen)]
        make_ahead(self.params, [s.number for s in steps if force or not self.is_done(s)])
        failure: SeedError | None = None
        for place, step in enumerate(steps, start=1):
            lead = f"{bar(place / len(steps), 10)} {place:>2}/{len(steps)}  {step.notebook:<17}"
            if step.shows:
                self.keys[step.number] = self._key(step)  # by now more may have run that it shows
            if self.is_done(step) and not force:
                if step in chosen:
                    print(f"{lead} unchanged", flush=True)
                continue
            try:
                seconds = self._execute(step)
            except SeedError as error:
                failure = error
                break
            print(f"{lead} {seconds:5.0f} s", flush=True)
        try:
            report = self._report()
        except SeedError:
            if failure is None:
                raise
        if failure:  # also where the report failed after it: this came first
            raise failure
        return report

    def chosen(self, only: Iterable[str], everything: bool) -> list[PipelineStep]:
        """The steps that `run` would execute where they are not done. Raises SeedError for a number that no step has."""
        wanted = list(only)
        unknown = [number for number in wanted if number not in self.steps]
        if unknown:
            known = ", ".join(self.steps)
            raise SeedError(f"--only {','.join(unknown)}: no such notebook; there are {known}")
        usual = [step for step in STEPS if everything or not step.on_request]
        steps = [self.steps[number] for number in wanted] or usual
        return sorted(steps, key=lambda step: bool(step.shows))  # after what they show

    def _key(self, step: PipelineStep) -> str:
        notebook = nbformat.read(self._source(step), as_version=4)
        code = "\n".join(
            re.sub(r"^[%!].*$", "", cell.source, flags=re.M)
            for cell in notebook.cells
            if cell.cell_type == "code"
        )
        modules = [name.removeprefix("seednb.") for name in imported_modules(code)]
        values = self.params.values()
        names = {
            n for use in step.uses for n in (self.params.values(use) if use in SECTIONS else [use])
        }
        bands = self.params.path(str(values["healthy_bands"]))
        files = {"healthy_bands": fingerprint(bands)} if bands.is_file() else {}
        if step.reads:
            found = sorted(self.params.root.glob(step.reads))
            files |= {path.name: fingerprint(path) for path in found}
        if step.picks_up:
            found = sorted(self.runs.glob(step.picks_up))
            files |= {str(path.relative_to(self.runs)): fingerprint(path) for path in found}
        return digest(
            {
                "cells": [[cell.cell_type, cell.source] for cell in notebook.cells],
                "parameters": {name: values[name] for name in sorted(names)},
                "files": files,
                "sources": self._inputs if "data" in step.uses else {},
                "code": code_fingerprint(*modules),
                "needs": [self.keys[number] for number in step.needs],
                "shows": [self.keys[n] for n in step.shows if self.is_done(self.steps[n])],
            }
        )

    @cached_property
    def _inputs(self) -> dict[str, Any]:
        """What data and model depend on; empty as long as one of their files is missing."""
        inputs = stages.Stages(self.params, self.runs)
        try:
            data = [inputs.training_data, inputs.validation_data]
            return {"data": data, "model": inputs.model}
        except (SeedError, OSError):
            return {}

    def _source(self, step: PipelineStep) -> Path:
        path = self.notebooks / f"{step.notebook}.ipynb"
        if not path.is_file():
            raise SeedError(f"notebook {path} is missing; restore it: git checkout -- notebooks")
        return path

    def _execute(self, step: PipelineStep) -> float:
        """Run one notebook; its folder is complete once its record is there."""
        folder = self.folder(step)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / RECORD).unlink(missing_ok=True)
        started = time.perf_counter()
        parameters = self.injected | {"output_dir": self._from_root(folder)}
        execute(self._source(step), folder / EXECUTED, parameters)
        seconds = time.perf_counter() - started
        write_json(folder / RECORD, {"key": self.keys[step.number], "seconds": round(seconds, 1)})
        return seconds

    def _from_root(self, folder: Path) -> str:
        """A path without the machine's folders where that is possible."""
        root = self.params.root
        return str(folder.relative_to(root) if folder.is_relative_to(root) else folder)

    def _report(self) -> Path:
        done = [step for step in STEPS if self.is_done(step)]
        metrics, scores = self._numbers() if self.steps["08"] in done else ([], [])
        destination = self.params.path(self.params.run.reports_dir) / self.params.run.profile
        write_json(destination / METRICS, metrics)
        write_json(destination / "benchmarks.json", scores)
        for step in done:
            copy = destination / "notebooks" / f"{step.notebook}.ipynb"
            write_bytes(copy, (self.folder(step) / EXECUTED).read_bytes())
        executed = [self.folder(step) / EXECUTED for step in done]
        facts = self._facts(done)
        page = build_report(executed, metrics, facts, destination / "index.html")
        write_facts(
            destination, self._date(done), facts["commit"], facts["notice"], self.params.values()
        )
        write_index(destination.parent)
        return page

    def _numbers(self) -> tuple[list[Any], list[Any]]:
        """The rows of the evaluation, and of the benchmarks that were scored, from their stages."""
        file = Experiment(self.params).metrics_stage().path(METRICS)
        return read_json(file), scored_rows(self.runs)

    def _date(self, done: Sequence[PipelineStep]) -> str:
        """When the newest chapter ran; empty if none has."""
        times = [(self.folder(step) / RECORD).stat().st_mtime for step in done]
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(max(times))) if times else ""

    def _facts(self, done: Sequence[PipelineStep]) -> dict[str, Any]:
        """What the report's appendix and banner say about how it was made."""
        values = self.params.values()
        rows = [row | {"value": str(values[row["name"]])} for row in describe()]
        records = {step.notebook: read_json(self.folder(step) / RECORD) for step in done}
        return {
            "profile": self.params.run.profile,
            "notice": self.params.run.notice,
            "parameters": rows,
            "versions": versions(),
            "seeds": {name: values[name] for name in ("seed", "world_seed", "bootstrap_seed")},
            "durations_s": {name: record["seconds"] for name, record in records.items()},
            "commit": git_commit(),
            "artifacts": {name: record["key"] for name, record in records.items()},
            "skipped": self._artifact("01", "skipped.json") or [],
            "claims": self._artifact("09", "claim_counts.json") or [],
            "hero": self._artifact("08", "hero.json"),
            "confidence": self._artifact("03", "confidence.json"),
            "model": model_facts(self.params),
            "settings": settings_box(self.params.root),
            "captions": caption_rates(self.params.root),
            "missing": [
                {
                    "file": self._source(step),
                    "number": step.number,
                    "command": f"seednb report --params {self._shown_file} --only {step.number}",
                }
                for step in STEPS
                if step not in done
            ],
        }

    @property
    def _shown_file(self) -> Path:
        """The profile's file as one types it in the project's folder."""
        root = self.params.root
        is_inside = self.params_file.is_relative_to(root)
        return self.params_file.relative_to(root) if is_inside else Path(self.params_file.name)

    def _artifact(self, number: str, file: str) -> Any:
        path = self.folder(self.steps[number]) / file
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
