"""A model on published benchmarks: records first, then figures, both kept and found again.

A benchmark's answers lie in `runs/<profile>/benchmark-<name>-<model>-<key>/`, a line for each
question, and its rows in `runs/<profile>/scores-<name>-<model>-<key>/scores.json`. A run that was
killed resumes at the next question.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seednb.core.devices import process_state
from seednb.core.errors import SeedError
from seednb.core.files import read_json, write_json
from seednb.core.stage import Stage, digest, fingerprint, folder_fingerprint, making
from seednb.data.instruct import read_pairs
from seednb.data.leaks import refuse_leaks
from seednb.data.readers import read_json_lines
from seednb.evaluation.answer_files import answer_file, check_questions, rank_file
from seednb.evaluation.benchmarks.base import Absent, CaptionSettings, Folders, Material
from seednb.evaluation.benchmarks.registry import (
    benchmark_named,
    read_benchmark,
    score_benchmark,
)
from seednb.evaluation.comparison import BASE, Label
from seednb.experiments.experiment import Experiment
from seednb.model.loading import Bundle
from seednb.model.lora import check_adapter

Row = dict[str, Any]
TRAINING = re.compile(r"^train-(?P<version>\w+)-(?P<labels>replay|truthful)-[0-9a-f]+$")
SCORES = "scores.json"
NAMED_BY = ("benchmark", "split", "variant", "metric", "model", "versus")
UNKNOWN = "unknown"  # as --trained-on: the training images of an adapter cannot be told


@dataclass(frozen=True)
class Outcome:
    """One benchmark's rows, and notes in sentences: why there are none, what they lack."""

    benchmark: str
    rows: list[Row]
    notes: list[str]


@dataclass(frozen=True)
class Contestant:
    """A model that answers: the base, or the base with an adapter."""

    name: str
    adapter: Path | None

    @classmethod
    def of(cls, adapter: Path) -> "Contestant":
        """Named after the training that made the adapter, or after its folder."""
        check_adapter(adapter)
        folder = adapter.resolve()
        made = TRAINING.match(folder.parent.name)
        if made:
            truthful = "_truthful" if made["labels"] == "truthful" else ""
            return cls(f"{made['version']}{truthful}", folder)
        named = folder.parent if folder.name == "adapter" else folder
        return cls(re.sub(r"\W+", "_", named.name), folder)


def scored_rows(runs: Path) -> list[Row]:
    """The rows of every benchmark that was scored for a profile; of the same figure the newest."""
    newest: dict[tuple[Any, ...], Row] = {}
    for file in sorted(runs.glob(f"scores-*/{SCORES}"), key=lambda path: path.stat().st_mtime):
        for row in read_json(file)["rows"]:
            newest[tuple(row[name] for name in NAMED_BY)] = row
    return list(newest.values())


class Benchmarks:
    """The published benchmarks of one profile."""

    def __init__(self, lab: Experiment) -> None:
        """`lab`: the profile; its model is loaded when a question waits."""
        self.lab = lab
        self.folders = Folders.of(lab.params)
        self._bundles: dict[Contestant, Bundle] = {}

    def material(self, name: str) -> Material:
        """Questions and truth of one benchmark; raises `Absent` if its data is not there."""
        evaluation = self.lab.params.evaluation
        captions = CaptionSettings(
            evaluation.caption_prompt, evaluation.caption_images, self.lab.params.data.world_seed
        )
        return read_benchmark(name, self.folders, captions)

    def run(
        self, names: Sequence[str], adapter: Path | None = None, trained_on: str | None = None
    ) -> Iterator[Outcome]:
        """Every named benchmark in turn: the base model and, if given, an adapter.

        `trained_on` is a file of the adapter's instruction pairs (default: the profile's) or
        "unknown". Raises SeedError for unknown names, and for a benchmark that asks about training
        images, before anything is asked.
        """
        for name in names:
            benchmark_named(name)
        contestants = [Contestant(BASE, None), *([Contestant.of(adapter)] if adapter else [])]
        trained = self._trained_images(adapter, trained_on)
        for name in dict.fromkeys(names):
            try:
                material = self.material(name)
            except Absent as missing:
                yield Outcome(name, [], [str(missing)])
                continue
            refuse_leaks(trained, material.images(), name)
            yield self._outcome(material, contestants)

    def _outcome(self, material: Material, contestants: Sequence[Contestant]) -> Outcome:
        params = self.lab.params.evaluation
        stages = {one.name: self._answered(material, one) for one in contestants}
        first = material.asked[0].name
        records = {name: f"{stage.folder.name}/{first}.jsonl" for name, stage in stages.items()}
        label = Label(
            material.benchmark, None, "", records, params.resamples, params.bootstrap_seed
        )
        stage = self.scores_stage(material, stages)
        with making(stage, self.lab.patience_s) as is_left:
            if is_left and process_state().is_main_process:
                parts = [asked.name for asked in material.asked]
                answers = {
                    name: {part: read_json_lines(one.path(f"{part}.jsonl")) for part in parts}
                    for name, one in stages.items()
                }
                rows, remarks = score_benchmark(material, answers, label)
                notes = [*remarks.notes, *remarks.lacking]
                write_json(stage.path(SCORES), {"rows": rows, "notes": notes})
                stage.stays_open = bool(remarks.lacking)  # scored again, with the word data
        found = read_json(stage.path(SCORES))
        return Outcome(material.benchmark, found["rows"], found["notes"])

    def _answered(self, material: Material, contestant: Contestant) -> Stage:
        """The stage with a model's answers, answered now as far as they were not."""
        params, stage = self.lab.params, self.answers_stage(material, contestant)
        with making(stage, self.lab.patience_s) as is_left:
            if is_left:
                for asked in material.asked:
                    check_questions(asked.questions, material.files[0], asked.images)
                bundle = self._bundle(contestant)
                for asked in material.asked:
                    write = rank_file if asked.ranked else answer_file
                    reader = bundle.image_reader(asked.images, params.data.image_fit)
                    output = stage.path(f"{asked.name}.jsonl")
                    write(bundle, asked.questions, reader, output, params.evaluation)
        return stage

    def answers_stage(self, material: Material, contestant: Contestant) -> Stage:
        """Where a model's answers to a benchmark lie, finished or not."""
        evaluation = self.lab.params.evaluation
        questions = {part.name: [part.questions, part.ranked] for part in material.asked}
        inputs = {
            "model": self.lab.stages.model,
            "adapter": contestant.adapter and folder_fingerprint(contestant.adapter),
            "questions": digest(questions),
            "asking": [evaluation.max_new_tokens, evaluation.eval_batch_size],
        }
        return Stage(self.lab.runs, f"benchmark-{material.benchmark}-{contestant.name}", inputs)

    def scores_stage(self, material: Material, answers: Mapping[str, Stage]) -> Stage:
        """Where a benchmark's rows lie, of the answers of some models, the last one the newest."""
        evaluation = self.lab.params.evaluation
        inputs = {
            "answers": {name: stage.key for name, stage in answers.items()},
            "files": [fingerprint(file) for file in material.files],
            "bootstrap": [evaluation.resamples, evaluation.bootstrap_seed],
        }
        return Stage(self.lab.runs, f"scores-{material.benchmark}-{[*answers][-1]}", inputs)

    def _bundle(self, contestant: Contestant) -> Bundle:
        """The loaded model; only one is held at a time."""
        if contestant not in self._bundles:
            self._bundles.clear()
            adapter = contestant.adapter
            self._bundles[contestant] = self.lab.adapted(adapter) if adapter else self.lab.bundle()
        return self._bundles[contestant]

    def _trained_images(self, adapter: Path | None, trained_on: str | None) -> list[str]:
        """Names of the images that an adapter was trained on; the base model was not trained here."""
        if adapter is None or trained_on == UNKNOWN:
            return []
        if trained_on:
            return [pair.image for pair in read_pairs(Path(trained_on))]
        try:
            pairs = self.lab.data.pairs
        except SeedError as problem:
            raise SeedError(
                f"which images the adapter was trained on cannot be told ({problem}); give "
                f"--trained-on PAIRS.json, or --trained-on {UNKNOWN} to go without the check"
            ) from None
        return [pair.image for kind in pairs.values() for pair in kind]
