"""Kill -9 at random moments, run again, compare with a run that nobody killed (smoke profile, CPU).

python benchmarks/kill_points.py                 (50 points; about 30 minutes on two cores)
python benchmarks/kill_points.py --points 7      (one point a job; about 8 minutes; writes nothing)

A kill counts if it came while the job held its lock: one that came before or after is drawn again.
Of the first command, the points are kept in `runs/kill_points.jsonl` until all are there: run again, it
goes on after them.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results import write_result
from safetensors.torch import load_file

from seednb.core.files import append_lines, cut_torn_end, read_json, write_lines
from seednb.data.readers import read_json_lines

ROOT = Path(__file__).parents[1]
PARAMS = ROOT / "params/smoke.yaml"
PARTIAL = ROOT / "runs/kill_points.jsonl"
POINTS = 50
POLL_S = 0.01
GIVE_UP_S = 900.0
ADAPTERS = "smoke/train-*/adapter/adapter_*"
RECORDS = "smoke/answers-*/*.jsonl"


@dataclass(frozen=True)
class Job:
    """One command, on a copy of a finished `runs` folder from which some stages are removed."""

    name: str
    verb: tuple[str, ...]  # {runs} stands for the folder
    removed: tuple[str, ...]  # patterns below runs
    lock: str  # pattern of the pid files that are there while it works
    results: tuple[str, ...]  # patterns of the files that must be the same to the byte
    options: tuple[str, ...] = ()  # -p of the command

    def start(self, runs: Path) -> subprocess.Popen[bytes]:
        """Start it, as a user types it, in a process group of its own."""
        command = [sys.executable, "-m", "seednb.cli.__main__"]
        command += [text.format(runs=runs) for text in self.verb]
        command += ["--params", str(PARAMS)]
        for option in (f"runs_dir={runs}", f"reports_dir={runs}/reports", *self.options):
            command += ["-p", option]
        log = (runs / "log.txt").open("ab")
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, start_new_session=True)

    def finish(self, runs: Path) -> float:
        """Run it to its end; returns the seconds from its lock to its end."""
        process = self.start(runs)
        begun = self._begun(process, runs)
        if process.wait(GIVE_UP_S):
            raise RuntimeError(f"{self.name} failed: {(runs / 'log.txt').read_text()[-2000:]}")
        return time.perf_counter() - begun

    def kill(self, runs: Path, after_s: float) -> bool:
        """Start it and kill it some seconds after it took its lock; False if it was not at work."""
        process = self.start(runs)
        self._begun(process, runs)
        time.sleep(after_s)
        at_work = process.poll() is None and self._is_locked(runs)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return at_work

    def files(self, runs: Path) -> dict[str, str]:
        """Hashes of the results; of the teacher's states, of what they hold, not of how it is cut."""
        found = {
            str(path.relative_to(runs)): hashlib.sha256(path.read_bytes()).hexdigest()
            for pattern in self.results
            for path in runs.glob(pattern)
        }
        states = {
            key: hashlib.sha256(tensor.numpy().tobytes()).hexdigest()
            for shard in runs.glob("smoke/teacher/*/*.safetensors")
            for key, tensor in load_file(shard).items()
        }
        return found | states

    def _is_locked(self, runs: Path) -> bool:
        return any(runs.glob(self.lock))

    def _begun(self, process: subprocess.Popen[bytes], runs: Path) -> float:
        while not self._is_locked(runs) and process.poll() is None:
            time.sleep(POLL_S)
        return time.perf_counter()


SMALL = ("checkpoint_every=1", "batch_size=4")
STAGE = "smoke/*/stage.lock.pid"
JOBS = (
    Job("train", ("train", "--version", "v7"), (), STAGE, (ADAPTERS,), SMALL),
    Job(
        "cache", ("train", "--version", "v7"), (), STAGE, (ADAPTERS,),
        (*SMALL, "checkpoint_every=5", "teacher_cache_gib=1", "noise=per_image_seed"),
    ),
    Job(
        "evaluate", ("evaluate", "--model", "{runs}/adapter", "--compare", "--chair-n", "2"), (),
        STAGE, (RECORDS,), ("eval_batch_size=2",),
    ),
    Job(
        "caption", ("evaluate", "--model", "{runs}/adapter", "--compare", "--pope-n", "4"), (),
        STAGE, (RECORDS,), ("eval_batch_size=4",),
    ),
    Job(
        "answer",
        ("answer", "--questions", "{runs}/questions.jsonl", "--images", "{runs}/images",
         "--output", "{runs}/answers.jsonl"),
        (), ".answers.jsonl.lock.pid", ("answers.jsonl",), ("eval_batch_size=4",),
    ),
    Job(
        "report that trains", ("report", "--only", "07"),
        ("smoke/07_*", "smoke/train-v7-replay-*", "smoke/answers-v7-*"),
        "smoke/report.lock.pid", (ADAPTERS, RECORDS),
    ),
    Job(
        "report that evaluates", ("report", "--only", "08"),
        ("smoke/08_*", "smoke/metrics-*", "smoke/answers-contrastive-*", "smoke/robust-*"),
        "smoke/report.lock.pid",
        (RECORDS, "smoke/robust-*/*.jsonl", "smoke/metrics-*/metrics.json",
         "reports/smoke/metrics.json"),
    ),
)  # fmt: skip


def main(points: int, seed: int) -> None:
    """Spread the points over the jobs, print a row each, write the result."""
    kept = PARTIAL if points >= POINTS else None
    if kept:
        cut_torn_end(kept)
    known = read_json_lines(kept) if kept and kept.is_file() else []
    with tempfile.TemporaryDirectory(prefix="kill-points-") as folder:
        finished = prepare(Path(folder) / "finished")
        rows = []
        for place, job in enumerate(JOBS):
            before = [row for row in known if row["job"] == job.name]
            numbers = range(len(before) + 1, len(range(place, points, len(JOBS))) + 1)
            rows += before
            for row in kill_job(job, numbers, finished, Path(folder), seed):
                rows.append(row)
                if kept:
                    append_lines(kept, [row])
    killed = Counter(row["job"] for row in rows)
    same = Counter(row["job"] for row in rows if row["identical"])
    for name in killed:
        print(f"{name:<22} {killed[name]:>3} kill points, {same[name]:>3} identical")
    headline: dict[str, float] = {
        "kill_points": len(rows),
        "identical": same.total(),
        "redrawn": sum(row["redrawn"] for row in rows),
    }
    print(headline)
    if kept:
        print(write_result("kill_points", rows, headline))
        kept.unlink()


def prepare(runs: Path) -> Path:
    """A finished smoke report, and what the other jobs read: an adapter, images, questions."""
    runs.mkdir()
    Job("prepare", ("report",), (), "smoke/report.lock.pid", ()).finish(runs)
    (adapter,) = runs.glob("smoke/train-v7-replay-*/adapter")
    shutil.copytree(adapter, runs / "adapter")
    (images,) = runs.glob("smoke/world-*/val")
    shutil.copytree(images, runs / "images")
    names = sorted(path.name for path in images.iterdir())
    asked = {"text": "Describe this image."}
    questions = [asked | {"question_id": n, "image": name} for n, name in enumerate(names)]
    write_lines(runs / "questions.jsonl", questions)
    return runs


def kill_job(
    job: Job, numbers: Sequence[int], finished: Path, folder: Path, seed: int
) -> Iterator[dict[str, Any]]:
    """One row for each of the numbered kill points."""
    if not numbers:
        return

    def copy(name: str) -> Path:
        runs = folder / name
        shutil.rmtree(runs, ignore_errors=True)
        shutil.copytree(finished, runs)
        for pattern in job.removed:
            for path in runs.glob(pattern):
                shutil.rmtree(path)
        return runs

    whole = copy("whole")
    seconds = job.finish(whole)
    expected = job.files(whole)
    assert expected, f"{job.name} made nothing to compare"
    for number in numbers:
        rng = random.Random(f"kill-{seed}-{job.name}-{number}")
        redrawn, at_work = -1, False
        while not at_work:
            redrawn += 1
            runs, after_s = copy("killed"), rng.uniform(0, seconds)
            at_work = job.kill(runs, after_s)
        kept = progress(runs)
        again_s = job.finish(runs)
        row = {
            "name": f"{job.name} {number}",
            "job": job.name,
            "killed_after_s": round(after_s, 2),
            "whole_run_s": round(seconds, 2),
            "kept": kept,
            "second_run_s": round(again_s, 2),
            "identical": job.files(runs) == expected,
            "redrawn": redrawn,
        }
        print(row, flush=True)
        yield row


def progress(runs: Path) -> str:
    """What a killed run left to go on with."""
    steps = [read_json(file)["step"] for file in runs.glob("smoke/train-*/checkpoint/latest.json")]
    unfinished = [f for f in runs.glob("smoke/*-*") if not (f / "manifest.json").is_file()]
    journals = [file for f in unfinished for file in f.glob("*.journal")]
    found = {
        "checkpoint at step": max(steps, default=0),
        "chunks": sum(len(file.read_bytes().splitlines()) for file in journals),
        "answers": sum(file.read_bytes().count(b"\n") for file in runs.glob("answers.jsonl")),
        "shards": len(list(runs.glob("smoke/teacher/*/*.safetensors"))),
    }
    return ", ".join(f"{name} {count}" for name, count in found.items() if count) or "nothing yet"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
