"""Damaged instruction labels: LLaVA-Instruct records and files of pairs."""

import json

from seednb.data.instruct import prepare_data, read_pairs
from seednb.data.readers import Skipped

from .case import ERROR, SKIPPED, WORKS, Case
from .images import encoded, photo

GOOD = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cup."}]
RECORD = {"id": "1", "image": "a.jpg", "conversations": GOOD}
PAIR = {"image": "a.jpg", "question": "What?", "answer": "A cup."}
EMOJI = "👩‍👩‍👧 שלום \u202eمرحبا\u202c e\u0301"


def written(content, name="input.json"):
    """A file beside a good image; other than text is written as JSON."""

    def make(folder):
        (folder / "a.jpg").write_bytes(encoded(photo()))
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder / name

    return make


def prepared(path):
    """Convert the file; what was left out, by reason as `seednb prepare-data` prints it."""
    summary = prepare_data(path, path.parent, path.with_name("out.json"))
    read_pairs(path.with_name("out.json"))
    counted = {key: n for key, n in summary.items() if key.startswith("skipped, ")}
    assert sum(counted.values()) == summary["skipped"]
    return [Skipped(str(n), key.removeprefix("skipped, ")) for key, n in counted.items()]


def beside(record):
    """A file with one good record and another one."""
    return written([RECORD, record])


def turns(*values):
    """A record whose turns are (who, text)."""
    return RECORD | {"conversations": [{"from": who, "value": text} for who, text in values]}


def labels(name, made, expected, says=""):
    """A LLaVA-Instruct file."""
    return Case(name, made, prepared, expected, says)


def pairs(name, content, expected, says=""):
    """A file of pairs."""
    return Case(name, written(content), read_pairs, expected, says)


CASES = [
    labels("labels: a record that is a number", beside(3), SKIPPED, "not a record"),
    labels("labels: no image", beside({"id": 2, "conversations": GOOD}), SKIPPED, "text-only"),
    labels("labels: image is a list", beside(RECORD | {"image": ["a.jpg"]}), SKIPPED, "not a file name"),
    labels("labels: image name ../../x.jpg", beside(RECORD | {"image": "../../x.jpg"}), SKIPPED, "leaves its folder"),
    labels("labels: image name /etc/passwd", beside(RECORD | {"image": "/etc/passwd"}), SKIPPED, "leaves its folder"),
    labels("labels: image name with a zero byte", beside(RECORD | {"image": "a\0.jpg"}), SKIPPED, "leaves its folder"),
    labels("labels: image name of 1e5 characters", beside(RECORD | {"image": "a" * 100_000}), SKIPPED, "leaves its folder"),
    labels("labels: image that is a folder", beside(RECORD | {"image": "."}), SKIPPED, "missing"),
    labels("labels: image that is not there", beside(RECORD | {"image": "b.jpg"}), SKIPPED, "image is missing"),
    labels("labels: no conversation", beside(RECORD | {"conversations": None}), SKIPPED, "no conversation"),
    labels("labels: turns that are numbers", beside(RECORD | {"conversations": [1, 2]}), SKIPPED, "neither a human nor a gpt"),
    labels("labels: empty answer", beside(turns(("human", "What?"), ("gpt", " \n"))), SKIPPED, "empty answer"),
    labels("labels: question without an answer", beside(turns(("human", "What?"))), SKIPPED, "question without an answer"),
    labels("labels: the same id twice", written([RECORD, RECORD]), WORKS),
    labels("labels: answer with <image>", beside(turns(("human", "What?"), ("gpt", "<image> A cup <image>"))), WORKS),
    labels("labels: answer of 1e5 characters", beside(turns(("human", "What?"), ("gpt", "cup " * 25_000))), WORKS),
    labels("labels: emoji and right-to-left text", beside(turns(("human", EMOJI), ("gpt", EMOJI))), WORKS),
    labels("labels: control characters", beside(turns(("human", "\x00\x07What?"), ("gpt", "A\x1bcup\x7f"))), WORKS),
    labels("labels: half an emoji", written(json.dumps([RECORD, turns(("human", "a"), ("gpt", "\ud83d"))])), ERROR, "half a character"),
    labels("labels: NaN instead of a record", written("[NaN]"), ERROR, "no usable pair .not a record: 1"),
    labels("labels: empty list", written([]), ERROR, "no usable pair"),
    labels("labels: an object", written({"a": 1}), ERROR, "JSON list of records, not a dict"),
    labels("labels: cut in the middle", written(json.dumps([RECORD])[:40]), ERROR, "line 1, column .*not JSON"),
    labels("labels: file of 0 bytes", written(b""), ERROR, "line 1, column 1: not JSON"),
    labels("labels: UTF-16", written("[]".encode("utf-16")), ERROR, "not UTF-8 text"),
    labels("labels: lists in lists, 1e5 deep", written("[" * 100_000), ERROR, "cannot be read"),
    labels("labels: number of 5000 digits", written("[" + "9" * 5000 + "]"), ERROR, "cannot be read"),
    labels("labels: damaged gzip", written(b"\x1f\x8b\x08\x00rubbish", "input.json.gz"), ERROR, "damaged gzip"),
    pairs("pairs: question with <image>", [PAIR | {"question": "<image>\nWhat?"}], WORKS),
    pairs("pairs: question of <image> alone", [PAIR | {"question": "<image>"}], ERROR, "pair 0: 'question'"),
    pairs("pairs: empty answer", [PAIR, PAIR | {"answer": " "}], ERROR, "pair 1: 'answer'"),
    pairs("pairs: answer is a number", [PAIR | {"answer": 3}], ERROR, "pair 0: 'answer' is 3"),
    pairs("pairs: a LLaVA-Instruct file", [RECORD], ERROR, "this is a LLaVA-Instruct file"),
    pairs("pairs: no pair", [], ERROR, "at least one pair"),
]  # fmt: skip
