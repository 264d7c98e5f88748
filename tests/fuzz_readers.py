"""Files changed at random: whatever a reader is given, nothing but a SeedError may escape.

python -m tests.fuzz_readers --seconds 60 [--seed 1] [--only COCO]

Each round takes an input of the damaged corpus, changes one of its files (bytes, or values of its
JSON) and lets the reader have it. A failure is printed with its file and can be repeated by its seed.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from random import Random

if __package__:
    from .damaged import CASES, CRASH, Case, Outcome, outcome
else:  # as the tests import it
    from damaged import CASES, CRASH, Case, Outcome, outcome

SLOW_S = 20.0
MEMORY = 16 * 2**30  # bytes of addresses: a config may ask for more than any machine has
# A tenth of a second and more each.
MODELS = ("checkpoint:", "adapter:", "run:", "prompt:", "pair:")
ODD = [
    None, True, False, 0, -1, 1, 2**63, -(2**70), 1e308, float("nan"), float("inf"), "", " ", "0",
    "NaN", "yes", "../../x", "/etc/passwd", "a\0b", "<image>", "\u202e🦄", "x" * 5000, [], {}, [[]],
    [None], {"id": 1}, ["a", "b"], [1, 2, 3, 4], {"": None},
]  # fmt: skip
BYTES = [
    b"\0", b"\xff", b"\n", b'"', b"{", b"[", b"NaN", b"\\ud800", b"\xe2\x80\xa8", b"1e999", b": ",
]  # fmt: skip


def change_bytes(content: bytes, rng: Random) -> bytes:
    """Cut, flip, insert, repeat or overwrite somewhere."""
    at, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    kinds = (
        lambda: content[:at],
        lambda: content[:at] + content[end:],
        lambda: content[:at] + rng.choice(BYTES) + content[at:],
        lambda: content[:at] + content[at:end] * 2 + content[end:],
        lambda: content[:at] + rng.randbytes(min(8, end - at)) + content[min(end, at + 8) :],
        lambda: content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :],
    )
    return rng.choice(kinds)()


def change_json(value: object, rng: Random) -> object:
    """Somewhere in a JSON value: another value, a key less, an entry twice."""
    if not isinstance(value, list | dict) or not value or rng.random() < 0.1:
        return rng.choice(ODD)
    key = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
    changed = value.copy()
    kind = rng.random()
    if kind < 0.12:
        del changed[key]
    elif kind < 0.2 and isinstance(changed, list):
        changed.append(changed[key])
    elif kind < 0.25 and isinstance(changed, dict):
        changed[rng.choice(["", "id", "image", "x"])] = changed.pop(key)
    else:
        changed[key] = change_json(changed[key], rng)
    return changed


def change_file(file: Path, rng: Random) -> None:
    """Change a file in place, as JSON or JSON lines where it is that, at times twice."""
    for _ in range(rng.choice([1, 1, 2])):
        content = file.read_bytes()
        try:
            lines = [json.loads(content)]
        except (ValueError, RecursionError):
            try:
                lines = [json.loads(line) for line in content.splitlines()]
            except (ValueError, RecursionError):
                lines = []
        if lines and rng.random() < 0.7:
            place = rng.randrange(len(lines))
            lines[place] = change_json(lines[place], rng)
            content = "\n".join(map(json.dumps, lines)).encode()
        else:
            content = change_bytes(content, rng)
        file.write_bytes(content)


def one_round(case: Case, seed: int, folder: Path) -> tuple[Outcome, Path | None]:
    """Make a case's input, change one of its files, and have it read."""
    changed: list[Path] = []

    def made(where: Path) -> object:
        given = case.made(where)
        rng = Random(seed)
        files = sorted(path for path in where.rglob("*") if path.is_file())
        if files:
            changed.append(rng.choice(files))
            change_file(changed[0], rng)
        return given

    happened = outcome(Case(case.name, made, case.reader, case.expected), folder)
    return happened, changed[0] if changed else None


def fuzz(seconds: float, seed: int, only: str = "", rounds: int = sys.maxsize) -> tuple[Counter[str], int]:  # fmt: skip
    """Outcomes and the number of failures; failures are printed."""
    rng = Random(seed)
    cases = [case for case in CASES if only in case.name]
    readers = [case for case in cases if not case.name.startswith(MODELS)]
    counts, n_bad, started = Counter[str](), 0, time.monotonic()
    while time.monotonic() - started < seconds and counts.total() < rounds:
        case = rng.choice(readers if readers and rng.random() < 0.97 else cases)
        number = rng.randrange(2**32)
        with tempfile.TemporaryDirectory() as folder:
            happened, file = one_round(case, number, Path(folder))
            counts[happened.kind] += 1
            if happened.kind == CRASH or happened.seconds > SLOW_S:
                n_bad += 1
                shown = file.read_bytes()[:2000] if file else b""
                print(f"\n{case.name}, seed {number}, {happened.seconds:.1f} s, {file}: {shown!r}")
                print(happened.detail[-1500:], flush=True)
    return counts, n_bad


def main() -> int:
    """Fuzz for a while; exit status 1 if anything but a SeedError escaped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of a case's name")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    counts, n_bad = fuzz(options.seconds, options.seed, options.only)
    print(f"{counts.total()} files, {dict(counts)}, {n_bad} failures")
    return int(n_bad > 0)


if __name__ == "__main__":
    sys.exit(main())
