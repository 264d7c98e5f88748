"""Benchmarks as they lie on disk: every published layout is found, every damage is a sentence."""

import json
import shutil

import pytest
from benchmark_samples import write_benchmarks

from seednb.core.errors import SeedError
from seednb.evaluation.answer_files import check_questions
from seednb.evaluation.benchmarks.base import Absent, CaptionSettings, Folders
from seednb.evaluation.benchmarks.chair import OWN_WORDS
from seednb.evaluation.benchmarks.registry import BENCHMARKS, read_benchmark

CAPTIONS = CaptionSettings("Describe this image.", 3, seed=0)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_benchmarks(folder / "benchmarks", folder / "world")
    return folder / "benchmarks"


@pytest.fixture
def data(made, tmp_path):
    """A copy to damage."""
    return shutil.copytree(made, tmp_path / "benchmarks")


def read(name, folder, data="nowhere"):
    return read_benchmark(name, Folders(folder, folder.parent / data, "data/benchmarks"), CAPTIONS)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_published_layout_gives_questions_whose_images_are_there(name, made):
    material = read(name, made)
    assert material.files and all(file.is_file() for file in material.files)
    for asked in material.asked:
        check_questions(asked.questions, material.files[0], asked.images)
    assert material.images()


@pytest.mark.parametrize("name", BENCHMARKS)
def test_an_empty_folder_is_absent_with_a_command(name, tmp_path):
    with pytest.raises(
        Absent, match=f"{name}: .* is not in data/benchmarks; run there: (git|wget|hf)"
    ):
        read(name, tmp_path)


@pytest.mark.parametrize("name", ["pope", "chair", "vqav2"])
def test_missing_images_bring_their_own_command(name, data):
    shutil.rmtree(data / "val2014")
    with pytest.raises(Absent, match=r"val2014 is not in .*run there: wget .*val2014\.zip"):
        read(name, data)


def test_coco_s_images_may_lie_in_the_profile_s_own_data(data):
    (data.parent / "own").mkdir()
    (data / "val2014").rename(data.parent / "own/val2014")
    assert read("vqav2", data, "own").asked[0].images == data.parent / "own/val2014"


@pytest.mark.parametrize("place", ["MME_Benchmark", "MME_Benchmark_release_version", "MME", "MME/MME_Benchmark_release_version"])  # fmt: skip
def test_mme_is_found_however_it_was_unpacked(place, data):
    moved = data / "elsewhere"
    (data / "MME_Benchmark_release_version/MME_Benchmark").rename(moved)
    shutil.rmtree(data / "MME_Benchmark_release_version")
    (data / place).parent.mkdir(exist_ok=True)
    moved.rename(data / place)
    assert len(read("mme", data).asked[0].questions) == 16


def test_hallusionbench_s_images_may_lie_beside_its_file(data):
    folder = data / "HallusionBench"
    (folder / "hallusion_bench/VD").rename(folder / "VD")
    (folder / "hallusion_bench").rmdir()
    material = read("hallusionbench", data)
    assert material.asked[0].images == folder and len(material.asked[0].questions) == 8


def test_pope_on_other_images_is_taken_if_it_is_there(data):
    shutil.copytree(data / "POPE/output/coco", data / "VCD/experiments/data/POPE/aokvqa")
    for file in (data / "VCD/experiments/data/POPE/aokvqa").iterdir():
        file.rename(file.with_name(file.name.replace("coco", "aokvqa")))
    assert [asked.name for asked in read("pope", data).asked] == ["coco", "aokvqa"]


def test_chair_draws_images_by_its_seed_and_takes_a_published_list_instead(data):
    drawn = [row["question_id"] for row in read("chair", data).asked[0].questions]
    assert len(drawn) == 3 == len(set(drawn))
    (data / "CHAIR").mkdir()
    names = sorted(path.name for path in (data / "val2014").iterdir())[:2]
    rows = [{"question_id": n, "image": name, "text": "?"} for n, name in enumerate(names)]
    listed = data / "CHAIR/chair-500.jsonl"
    listed.write_text("".join(json.dumps(row) + "\n" for row in rows))
    material = read("chair", data)
    assert [row["image"] for row in material.asked[0].questions] == names
    assert material.truth["images"] == "chair-500.jsonl" and listed in material.files
    listed.write_text(json.dumps(rows[0]) + "\n" + json.dumps(rows[0]))
    with pytest.raises(SeedError, match="lists an image twice"):
        read("chair", data)
    listed.write_text('{"name": 3}')
    with pytest.raises(SeedError, match=r"chair-500\.jsonl, line 1: no 'image_id' and no 'image'"):
        read("chair", data)
    listed.write_text('{"image_id": 3}')
    with pytest.raises(SeedError, match="image 3 is not one of"):
        read("chair", data)


def test_chair_s_own_words_are_used_where_they_are_there_and_named_where_not(data):
    assert read("chair", data).truth["words"] == OWN_WORDS
    (data / "Hallucination/data").mkdir(parents=True)
    (data / "Hallucination/data/synonyms.txt").write_text("cup, mug\ndog, puppy\n")
    material = read("chair", data)
    assert material.truth["words"] == "" and material.truth["vocabulary"].objects == ("cup", "dog")


DAMAGED = {
    "pope": ("POPE/output/coco/coco_pope_popular.json", '{"question_id": 1}', "has no 'text'"),
    "chair": ("annotations/captions_val2014.json", "{}", "'annotations' is missing"),
    "vqav2": ("VQAv2/v2_mscoco_val2014_annotations.json", "[]", "no list of objects under 'annotations'"),
    "mme": ("MME_Benchmark_release_version/MME_Benchmark/count/0001.txt", "Is it?", "line 1: no tab"),
    "seedbench": ("SEED-Bench/SEED-Bench.json", '{"questions": [{"data_type": "image"}]}', "has no 'choice_a'"),
    "amber": ("AMBER/data/relation.json", "[1]", "not an object of words"),
    "hallusionbench": ("HallusionBench/HallusionBench.json", '[{"category": "VD"}]', "has no 'subcategory'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_damaged_file_is_named(name, data):
    file, content, named = DAMAGED[name]
    (data / file).write_text(content)
    with pytest.raises(SeedError, match=f"{file.rsplit('/', 1)[1]}.*{named}"):
        read(name, data)


def test_a_missing_image_is_named(data):
    next((data / "AMBER/image").iterdir()).unlink()
    material = read("amber", data)
    with pytest.raises(SeedError, match=r"1 images are not in .*AMBER/image: AMBER_\d\.jpg"):
        check_questions(material.asked[0].questions, material.files[0], material.asked[0].images)
