"""Lives of a job, each a forked process: killed at a chosen moment, and the next one goes on.

python tests/killing.py FOLDER        prints one JSON object; tests/system/test_durable.py reads it
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from seednb.core import files, stage
from seednb.core.errors import SeedError
from seednb.core.profiles import load_params
from seednb.evaluation import answer_files
from seednb.experiments.experiment import Experiment
from seednb.model.loading import load_bundle

ROOT = Path(__file__).parents[1]
Work = Callable[[], object]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at_replace(count: int, done: bool) -> Work:
    """Die at the count-th atomic write, before the file takes its name or after it."""
    whole, seen = stage.Path.replace, []

    def replace_and_die(self: Path, target: Path) -> Path:
        seen.append(target)
        if len(seen) == count and not done:
            die()
        found = whole(self, target)
        if len(seen) == count:
            die()
        return found

    def harm() -> None:
        stage.Path.replace = replace_and_die

    return harm


def killed_at_append(count: int, torn: int) -> Work:
    """Die in the count-th append of lines, with the last `torn` bytes unwritten."""
    whole, seen = files.append_lines, []

    def append_and_die(file: Path, rows: list) -> None:
        whole(file, rows)
        seen.append(file)
        if len(seen) == count:
            os.truncate(file, file.stat().st_size - torn)
            die()

    def harm() -> None:
        files.append_lines = answer_files.append_lines = append_and_die

    return harm


def small_files() -> None:
    """Let the kernel refuse files over 50 kB, as a disk that is full would."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))


def live(work: Work, harm: Work = lambda: None) -> str:
    """Do the work in a process of its own: "killed", "done", or the sentence of its SeedError."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        harm()
        try:
            work()
            os.write(writer, b"done")
        except SeedError as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    said = os.read(reader, 10_000).decode()
    os.close(reader)
    _, status = os.waitpid(child, 0)
    return "killed" if os.WIFSIGNALED(status) else said


def lab(runs: Path, **changes: object) -> Experiment:
    """The smoke profile with 12 short steps, a checkpoint after each, and small chunks."""
    small = {"n_train_images": 8, "n_val_images": 6, "n_pairs": 16, "batch_size": 4}
    small |= {"checkpoint_every": 1, "eval_batch_size": 1, "pope_images": 3, "max_new_tokens": 16}
    return Experiment.open(
        str(ROOT / "params/smoke.yaml"), small | {"runs_dir": str(runs)} | changes
    )


def bytes_of(runs: Path, pattern: str) -> dict[str, bytes]:
    return {str(p.relative_to(runs)): p.read_bytes() for p in sorted(runs.glob(pattern))}


def training(folder: Path, **changes: object) -> dict[str, object]:
    """Killed at every fifth atomic write, now before and now after it."""
    adapter = "smoke/train-*/adapter/adapter_model.safetensors"
    assert live(lambda: lab(folder / "whole", **changes).train("v7")) == "done"
    lives = []
    while not lives or lives[-1] == "killed":
        harm = killed_at_replace(5, done=bool(len(lives) % 2))
        lives.append(live(lambda: lab(folder / "killed", **changes).train("v7"), harm))
        if len(lives) == 3:
            lives.append(live(lambda: lab(folder / "killed", **changes).train("v7"), small_files))
            lives.append("killed")  # not by us: the disk's sentence; go on
    whole, again = (bytes_of(folder / name, adapter) for name in ("whole", "killed"))
    left = bytes_of(folder / "killed", "smoke/train-*/**/*.partial")
    return {"lives": lives, "identical": whole == again and len(whole) == 1, "left": list(left)}


def evaluation(folder: Path) -> dict[str, object]:
    """Killed in every second chunk, its line torn; counts how often a chunk was kept."""
    records = "smoke/answers-base-*/*.jsonl"
    asked = folder / "asked.txt"
    share = files.Journal.add

    def add(self: files.Journal, chunk: int, results: list) -> None:
        share(self, chunk, results)
        with asked.open("a") as lines:
            lines.write(f"{self.file.name} {chunk}\n")

    assert live(lambda: lab(folder / "whole").answers("base")) == "done"
    files.Journal.add = add
    lives = []
    while not lives or lives[-1] == "killed":
        harm = killed_at_append(2, torn=9)
        lives.append(live(lambda: lab(folder / "killed").answers("base"), harm))
    files.Journal.add = share
    whole, again = (bytes_of(folder / name, records) for name in ("whole", "killed"))
    times = asked.read_text().splitlines()
    left = bytes_of(folder / "killed", "smoke/**/*.journal")
    return {
        "lives": lives,
        "identical": whole == again and len(whole) == 3,  # captions, probes, questions
        "repeated": len(times) - len(set(times)),
        "chunks": len(set(times)),
        "left": list(left),
    }


def answers(folder: Path, world: Path) -> dict[str, object]:
    """An answer file, killed in its second append with the last lines torn off."""
    params = load_params(ROOT / "params/smoke.yaml")
    settings = replace(params.evaluation, eval_batch_size=4, max_new_tokens=16)
    names = sorted(path.name for path in world.iterdir())
    rows = [
        {"question_id": n, "image": name, "text": "What is it?"} for n, name in enumerate(names * 2)
    ]

    def answer(output: Path) -> Work:
        def work() -> None:
            bundle = load_bundle(str(ROOT / params.model.model), params.model)
            reader = bundle.image_reader(world, "pad")
            answer_files.answer_file(bundle, rows, reader, output, settings)

        return work

    whole, killed = folder / "whole.jsonl", folder / "killed.jsonl"
    assert live(answer(whole)) == "done"
    lives = [live(answer(killed), killed_at_append(2, torn)) for torn in (5, 150)]
    lives.append(live(answer(killed)))
    return {"lives": lives, "identical": whole.read_bytes() == killed.read_bytes()}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    found = {
        "train": training(folder / "train"),
        "cache": training(folder / "cache", teacher_cache_gib=1, checkpoint_every=2),
        "evaluate": evaluation(folder / "evaluate"),
    }
    (world,) = (folder / "evaluate/whole/smoke").glob("world-*/val")
    found["answer"] = answers(folder, world)
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
