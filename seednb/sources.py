"""Where published benchmarks and word data come from: source, licence, layout, download, checksum.

Nothing is downloaded by this project. The commands are run in the folder of benchmarks (parameter
`benchmarks_dir`, default `data/benchmarks`) and leave the layout that `seednb evaluate --benchmarks`
reads. A checksum is given only for files that were at hand when the scorers were checked against
published figures; of any other file `seednb doctor` prints the sha256, for two people to compare.
"""

from dataclasses import dataclass, field

COCO = "http://images.cocodataset.org"
HUB = "https://huggingface.co"
GITHUB = "https://github.com"


@dataclass(frozen=True)
class Source:
    """One download: its files are paths or patterns below the folder of benchmarks."""

    title: str
    url: str
    licence: str
    files: tuple[str, ...]
    commands: tuple[str, ...]
    sha256: dict[str, str] = field(default_factory=dict)  # file -> of the copy that was checked
    needs: tuple[str, ...] = ()  # other sources


SOURCES: dict[str, Source] = {
    "pope": Source(
        "POPE",
        f"{GITHUB}/AoiDragon/POPE",
        "MIT",
        tuple(
            f"POPE/output/coco/coco_pope_{split}.json"
            for split in ("random", "popular", "adversarial")
        ),
        (f"git clone {GITHUB}/AoiDragon/POPE",),
        {
            "POPE/output/coco/coco_pope_random.json": "ac25245170b975a5bdf9080b23fd431dfe6be458bc038259c1f4f09a6bef7994",
            "POPE/output/coco/coco_pope_popular.json": "72c1a8ad45d0c13514f5f22598261df41d3b533854d29682e924db50ed8aa753",
        },
        ("val2014",),
    ),
    "chair": Source(
        "CHAIR: annotations",
        f"{COCO}/annotations",
        "CC BY 4.0",
        ("annotations/instances_val2014.json", "annotations/captions_val2014.json"),
        (
            f"wget {COCO}/annotations/annotations_trainval2014.zip",
            "unzip annotations_trainval2014.zip",
        ),
        needs=("val2014", "chair-vocabulary", "nltk"),
    ),
    "vqav2": Source(
        "VQAv2 (validation)",
        "https://visualqa.org/download.html",
        "annotations CC BY 4.0",
        (
            "VQAv2/v2_OpenEnded_mscoco_val2014_questions.json",
            "VQAv2/v2_mscoco_val2014_annotations.json",
        ),
        (
            "wget https://s3.amazonaws.com/cvmlp/vqa/mscoco/vqa/v2_Questions_Val_mscoco.zip",
            "wget https://s3.amazonaws.com/cvmlp/vqa/mscoco/vqa/v2_Annotations_Val_mscoco.zip",
            "unzip -d VQAv2 v2_Questions_Val_mscoco.zip",
            "unzip -d VQAv2 v2_Annotations_Val_mscoco.zip",
        ),
        needs=("val2014",),
    ),
    "mme": Source(
        "MME",
        f"{GITHUB}/BradyFU/Awesome-Multimodal-Large-Language-Models/tree/Evaluation",
        "none stated: academic use, see source",
        ("MME_Benchmark_release_version/MME_Benchmark",),
        (
            f"wget {HUB}/datasets/darkyarding/MME/resolve/main/MME_Benchmark_release_version.zip",
            "unzip MME_Benchmark_release_version.zip",
        ),
    ),
    "seedbench": Source(
        "SEED-Bench",
        f"{HUB}/datasets/AILab-CVC/SEED-Bench",
        "CC BY-NC 4.0; pictures from Conceptual Captions",
        ("SEED-Bench/SEED-Bench.json", "SEED-Bench/SEED-Bench-image"),
        (
            "hf download AILab-CVC/SEED-Bench --repo-type dataset --local-dir SEED-Bench",
            "unzip -d SEED-Bench SEED-Bench/SEED-Bench-image.zip",
        ),
    ),
    "amber": Source(
        "AMBER",
        f"{GITHUB}/junyangwang0410/AMBER",
        "Apache-2.0; pictures: see source",
        (
            "AMBER/data/annotations.json",
            "AMBER/data/relation.json",
            "AMBER/data/safe_words.txt",
            "AMBER/data/query/query_all.json",
            "AMBER/image",
        ),
        (
            f"git clone {GITHUB}/junyangwang0410/AMBER",
            "gdown 1MaCHgtupcZUjf007anNl4_MV0o4DjXvl -O AMBER.zip && unzip -d AMBER AMBER.zip",
        ),
        needs=("spacy", "nltk"),
    ),
    "hallusionbench": Source(
        "HallusionBench",
        f"{GITHUB}/tianyi-lab/HallusionBench",
        "BSD 3-Clause; pictures: see source",
        ("HallusionBench/HallusionBench.json", "HallusionBench/hallusion_bench"),
        (
            f"git clone {GITHUB}/tianyi-lab/HallusionBench",
            "gdown 1eeO1i0G9BSZTE1yd5XeFwmrbe1hwyf_0 -O hallusion_bench.zip",
            "unzip -d HallusionBench hallusion_bench.zip",
        ),
    ),
    "val2014": Source(
        "COCO pictures, val2014",
        f"{COCO}/zips",
        "each photograph under its own Flickr licence",
        ("val2014",),
        (f"wget {COCO}/zips/val2014.zip", "unzip val2014.zip"),
    ),
    "chair-vocabulary": Source(
        "CHAIR: synonyms",
        f"{GITHUB}/LisaAnne/Hallucination",
        "none stated: use it, do not pass it on",
        ("Hallucination/data/synonyms.txt",),
        (f"git clone {GITHUB}/LisaAnne/Hallucination",),
        {
            "Hallucination/data/synonyms.txt": "b685537b36fe21b791c87151b96a991ceb582edff19f3da204dcc7a7905502f2"
        },
    ),
}

# Word data that Python packages look up by themselves: (name, licence, command).
NLTK_DATA = {  # path below an NLTK data folder -> licence
    "tokenizers/punkt_tab": "see source",
    "taggers/averaged_perceptron_tagger_eng": "see source",
    "corpora/wordnet": "WordNet licence",
}
NLTK_SOURCE = "https://www.nltk.org/nltk_data"
SPACY_SOURCE = f"{GITHUB}/explosion/spacy-models"
SPACY_LICENCE = "MIT"
SPACY_COMMAND = "pip install spacy && python -m spacy download en_core_web_lg"
BENCHMARKS = ("pope", "chair", "vqav2", "mme", "seedbench", "amber", "hallusionbench")
