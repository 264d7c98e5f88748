"""Published benchmarks' question files -> questions as a model is asked them.

Every question is a row with `question_id`, `image` and `text`, the text as LLaVA's own evaluation
words it. `entry` is what the benchmark's scorer wants back beside the answer, under the key `reply`;
`yes_no` are the two words of a yes/no question, and `choices` those of a multiple-choice one, whose
`question` alone is asked when choices are ranked by likelihood.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from seednb.data.files import read_json, read_json_lines, read_lines
from seednb.errors import SeedError
from seednb.metrics.languages import NAMES, Language, translate

Row = dict[str, Any]
ONE_WORD = "\nAnswer the question using a single word or phrase."
ONE_LETTER = "\nAnswer with the option's letter from the given choices directly."
MME_PROMPT = " Please answer yes or no."
LETTERS = "ABCD"
PLACE = ("category", "subcategory", "set_id", "figure_id", "question_id")  # of HallusionBench
YES_NO = (" Yes", " No")  # first tokens whose logits make a margin
DESCRIBE = "Describe"  # begins AMBER's query for a description; the others are yes/no questions
ASKED_AS = "asked_as"  # our question_id in an entry whose own is not unique


def read_pope(file: Path) -> list[Row]:
    """POPE's probes, JSON lines."""
    return [
        row | {"text": _text(row, "text", file) + ONE_WORD, "yes_no": YES_NO}
        for row in read_json_lines(file)
    ]


def read_pope_in(language: Language, names: Path = NAMES) -> Callable[[Path], list[Row]]:
    """A reader of POPE's probes that asks them in another language."""

    def read(file: Path) -> list[Row]:
        words = tuple(f" {words[0].capitalize()}" for words in (language.yes, language.no))
        asked = {"language": language.code, "yes_no": words, "entry": {"language": language.code}}
        return [
            row | asked | {"text": row["text"] + language.suffix}
            for row in translate(read_json_lines(file), language.code, names)
        ]

    return read


def read_vqa(file: Path) -> list[Row]:
    """v2_OpenEnded_mscoco_*_questions.json; pictures are named after its `data_subtype`."""
    document = _object(read_json(file), file)
    subset = _get(document, "data_subtype", file)
    return [
        {
            "question_id": _get(row, "question_id", file),
            "image": f"COCO_{subset}_{_whole(row, 'image_id', file):012d}.jpg",
            "text": _text(row, "question", file) + ONE_WORD,
        }
        for row in _list(_get(document, "questions", file), file)
    ]


def read_seedbench(file: Path) -> list[Row]:
    """SEED-Bench.json, its questions about pictures; those about videos have no picture here."""
    rows = []
    for row in _list(_get(_object(read_json(file), file), "questions", file), file):
        if _get(row, "data_type", file) != "image":
            continue
        choices = [_get(row, f"choice_{letter.lower()}", file) for letter in LETTERS]
        listed = "\n".join(
            f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=True)
        )
        rows.append(
            {
                "question_id": _get(row, "question_id", file),
                "image": _get(row, "data_id", file),
                "text": f"{_get(row, 'question', file)}\n{listed}{ONE_LETTER}",
                "question": row["question"],
                "choices": choices,
            }
        )
    return rows


def read_amber(file: Path) -> list[Row]:
    """query_all.json or one of its parts; the scorer wants `id` and `response`."""
    rows = read_json(file)
    if not isinstance(rows, list):
        raise SeedError(f"{file}: not a list of queries; give AMBER's query_all.json")
    return [
        {
            "question_id": _get(row, "id", file),
            "image": _get(row, "image", file),
            "text": _get(row, "query", file),
            "entry": {"id": row["id"]},
            "reply": "response",
            "yes_no": () if str(row["query"]).startswith(DESCRIBE) else YES_NO,
        }
        for row in rows
    ]


def read_hallusionbench(file: Path) -> list[Row]:
    """HallusionBench.json, its questions with a picture; the scorer wants each entry back."""
    rows = read_json(file)
    if not isinstance(rows, list):
        raise SeedError(f"{file}: not a list of entries; give HallusionBench.json")
    questions = []
    for row in rows:
        place = "/".join(str(_get(row, key, file)) for key in PLACE)
        if str(row.get("visual_input")) != "0":
            questions.append(
                {
                    "question_id": place,
                    "image": _get(row, "filename", file),
                    "text": _text(row, "question", file) + ONE_WORD,
                    "entry": row | {ASKED_AS: place},
                    "reply": "model_prediction",
                    "yes_no": YES_NO,
                }
            )
    return questions


def read_mme(folder: Path) -> list[Row]:
    """The release's folder: below each task, a text file a picture with `question<TAB>answer` lines.

    Pictures lie beside the text files or in `images/`, as the release has both. The scorer wants
    the task, the picture, the question and the right answer back.
    """
    if not folder.is_dir():
        raise SeedError(f"{folder} is no folder; give MME's, with a folder for each task")
    rows = [row for file in sorted(folder.glob("*/**/*.txt")) for row in _mme_rows(folder, file)]
    if not rows:
        raise SeedError(f"{folder} holds no TASK/…/PICTURE.txt; give MME's release folder")
    return rows


def _mme_rows(folder: Path, file: Path) -> Iterator[Row]:
    task = file.relative_to(folder).parts[0]
    beside = (file.parent, file.parent.parent / "images")
    pictures = [path for place in beside for path in sorted(place.glob(f"{file.stem}.[jp][pn]*g"))]
    if not pictures:
        raise SeedError(f"{file}: its picture is neither beside it nor in images/; unpack it again")
    image = pictures[0].relative_to(folder).as_posix()
    for number, line in enumerate(read_lines(file), start=1):
        if not line.strip():
            continue
        question, tab, label = line.partition("\t")
        if not tab:
            raise SeedError(f"{file}, line {number}: no tab between question and answer; repair it")
        yield {
            "question_id": f"{task}/{pictures[0].name}/{number}",
            "image": image,
            "text": question.replace(MME_PROMPT, "") + ONE_WORD,
            "entry": {
                "task": task,
                "image": pictures[0].name,
                "question": question,
                "label": label.strip(),
            },
            "reply": "answer",
            "yes_no": YES_NO,
        }


def _object(document: Any, file: Path) -> Row:
    if not isinstance(document, dict):
        raise SeedError(f"{file}: not a JSON object; give the official question file")
    return document


def _get(row: Any, key: str, file: Path) -> Any:
    if not isinstance(row, dict) or key not in row:
        raise SeedError(f"{file}: an entry has no {key!r}; give the official question file")
    return row[key]


def _text(row: Any, key: str, file: Path) -> str:
    value = _get(row, key, file)
    if not isinstance(value, str):
        raise SeedError(f"{file}: {key!r} is {value!r:.60} in an entry; give the official file")
    return value


def _whole(row: Any, key: str, file: Path) -> int:
    """A whole number, which may be written as a text."""
    text = str(_get(row, key, file))
    if not (text.isascii() and text.isdigit()):
        raise SeedError(f"{file}: {key!r} is {text:.60} in an entry; give the official file")
    return int(text)


def _list(value: Any, file: Path) -> list[Any]:
    if not isinstance(value, list):
        raise SeedError(f"{file}: 'questions' is no list; give the official question file")
    return value


QUESTION_FILES: dict[str, Callable[[Path], list[Row]]] = {
    "lines": read_json_lines,
    "pope": read_pope,
    "vqa": read_vqa,
    "mme": read_mme,
    "seedbench": read_seedbench,
    "amber": read_amber,
    "hallusionbench": read_hallusionbench,
}
