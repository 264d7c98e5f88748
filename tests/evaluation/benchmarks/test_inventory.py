"""What doctor says about benchmarks: never a checksum that nobody knows, always a command."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from benchmark_samples import write_benchmarks

from seednb.cli.__main__ import main
from seednb.evaluation.benchmarks.base import Folders
from seednb.evaluation.benchmarks.inventory import (
    CHECKED,
    NLTK_DATA,
    OTHER,
    UNPUBLISHED,
    benchmark_items,
    sha256_of,
    word_items,
)
from seednb.evaluation.benchmarks.registry import BENCHMARKS, downloads

SMOKE = str(Path(__file__).parents[3] / "params/smoke.yaml")
DOWNLOADS = {download.name: download for download in downloads()}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_benchmarks(folder / "benchmarks", folder / "world")
    return folder / "benchmarks"


def items(benchmarks, data=Path("nowhere")):
    return {item.name: item for item in benchmark_items(Folders(benchmarks, data, "here"))}


def test_every_benchmark_has_source_licence_layout_and_commands():
    assert list(BENCHMARKS) == list(DOWNLOADS)[: len(BENCHMARKS)]
    for name, download in DOWNLOADS.items():
        assert download.url.startswith(("https://", "http://images.cocodataset.org")), name
        assert download.licence and download.files and download.commands
        assert set(download.sha256) <= {names[0] for names in download.files}
        assert all(len(known) == 64 for known in download.sha256.values())


def test_nothing_there_means_every_command(tmp_path):
    for item in items(tmp_path).values():
        assert item.found == () and item.missing == tuple(
            names[0] for names in DOWNLOADS[item.name].files
        )
        text = "\n".join(item.as_lines())
        assert all(command in text for command in item.commands) and "missing" in text


def test_what_is_there_is_found_with_its_own_sha256(data):
    found = items(data)
    assert all(found[name].missing == () for name in (*BENCHMARKS, "val2014"))
    (file,) = (f for f in found["vqav2"].found if "annotations" in f.path)
    assert file.sha256 == hashlib.sha256(Path(file.path).read_bytes()).hexdigest()
    assert file.verdict == UNPUBLISHED
    assert found["val2014"].found[0].sha256 is None
    assert found["chair-vocabulary"].missing == ("Hallucination/data/synonyms.txt",)


def test_coco_may_lie_in_the_profile_s_data(data, tmp_path):
    assert items(tmp_path, data)["val2014"].missing == ()


def test_every_file_is_found_wherever_its_benchmark_finds_it(tmp_path):
    for download in DOWNLOADS.values():
        for n, names in enumerate(download.files):
            place = tmp_path / f"{download.name}{n}"
            (place / names[-1].replace("V[DS]", "VD")).mkdir(parents=True)
            missing = items(place)[download.name].missing
            assert names[0] not in missing and len(missing) == len(download.files) - 1


def test_each_download_is_looked_for_under_its_own_name(tmp_path):
    class Watched(Folders):
        def find(self, names, download, wanted_by):
            asked.append((download.name, wanted_by))
            return super().find(names, download, wanted_by)

    asked = []
    benchmark_items(Watched(tmp_path, tmp_path, "here"))
    assert asked == [(d.name, d.name) for d in downloads() for _ in d.files]


def test_a_known_copy_is_told_from_another(reference, tmp_path):
    folder = tmp_path / "POPE/output/coco"
    folder.mkdir(parents=True)
    shutil.copy(reference / "pope/coco_pope_random.json", folder)
    (folder / "coco_pope_popular.json").write_text("{}")
    (folder / "coco_pope_adversarial.json").write_text("{}")
    verdicts = [file.verdict for file in items(tmp_path)["pope"].found]
    assert verdicts[0] == CHECKED and verdicts[1].startswith(OTHER) and verdicts[2] == UNPUBLISHED
    (tmp_path / "Hallucination/data").mkdir(parents=True)
    shutil.copy(reference / "chair/synonyms.txt", tmp_path / "Hallucination/data")
    assert items(tmp_path)["chair-vocabulary"].found[0].verdict == CHECKED


def test_a_folder_s_sha256_depends_on_names_and_contents_only(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub/a.txt").write_text("a")
        (tmp_path / name / "b.txt").write_text("b")
    assert sha256_of(tmp_path / "one") == sha256_of(tmp_path / "two")
    (tmp_path / "two/b.txt").rename(tmp_path / "two/c.txt")
    assert sha256_of(tmp_path / "one") != sha256_of(tmp_path / "two")


def test_word_data_is_looked_up_where_nltk_looks(nltk_data, monkeypatch, tmp_path):
    found = {item.name: item for item in word_items()}
    assert all(not found[name.split("/")[1]].missing for name in NLTK_DATA)
    assert all(len(found[n.split("/")[1]].found[0].sha256) == 64 for n in NLTK_DATA)
    assert "en_core_web_lg" in found["spacy"].commands[0]
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    item = {item.name: item for item in word_items()}["wordnet"]
    assert item.missing == ("corpora/wordnet",) and item.commands == (
        "python -m nltk.downloader wordnet",
    )


def test_doctor_prints_it_for_people_and_for_machines(data, capsys):
    verb = ["doctor", "--params", SMOKE, "-p", f"benchmarks_dir={data}"]
    assert main(verb) == 0
    text = capsys.readouterr().out
    assert "found    mme: MME; https://github.com/BradyFU" in text
    assert "missing  chair-vocabulary: CHAIR: synonyms" in text
    assert main([*verb, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    complete = {row["name"]: row["is_complete"] for row in printed["benchmarks"]}
    assert complete == {name: name != "chair-vocabulary" for name in DOWNLOADS}
    assert {row["name"] for row in printed["words"]} > {"wordnet", "spacy"}
