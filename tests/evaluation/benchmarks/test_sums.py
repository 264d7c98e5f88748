"""Counts by image give the same figures as each benchmark's own scorer, which has no images."""

import numpy as np
import pytest

from seednb.evaluation.benchmarks import amber, hallusionbench, mme, seedbench, vqav2
from seednb.evaluation.stats import bootstrap
from seednb.evaluation.words import WordLists, exact_similarity

RNG = np.random.default_rng(5)


def total(sums, statistic):
    return float(statistic(sums.sum().to_numpy(float)))


def test_vqa_accuracy_by_image_is_the_scorers(answer_types=vqav2.ANSWER_TYPES):
    annotations = [
        {"question_id": n, "image_id": n // 3, "answer_type": answer_types[n % 3],
         "answers": [{"answer": str(RNG.integers(3))} for _ in range(10)]}
        for n in range(30)
    ]  # fmt: skip
    answers = [{"question_id": n, "answer": str(RNG.integers(3))} for n in range(30)]
    scores = vqav2.score(annotations, answers, "llava")
    sums = vqav2.per_image_sums(annotations, answers, "llava")
    assert len(sums) == 10 and list(sums.columns) == list(vqav2.COUNTS)
    assert total(sums, vqav2.STATISTICS["accuracy"]) == pytest.approx(scores["accuracy"])
    number = vqav2.per_image_sums(annotations, answers, "llava", "number")
    expected = scores["answer_type"]["number"]["accuracy"]
    assert total(number, vqav2.STATISTICS["accuracy"]) == pytest.approx(expected)


def mme_rows(tasks):
    return {
        task: [
            {"image": f"{n // 2}.jpg", "question": "?", "label": ("Yes", "No")[n % 2],
             "answer": RNG.choice(["Yes", "No", "Maybe"]), "line": n}
            for n in range(12)
        ]
        for task in tasks
    }  # fmt: skip


def test_mme_scores_and_totals_by_image_are_the_scorers():
    rows = mme_rows(mme.TASKS)
    scores = mme.score(rows, "official")
    sums = mme.per_image_sums(rows, "official")
    assert len(sums) == 6 * len(mme.TASKS)
    figures = mme.statistics(list(sums.columns))
    for name in mme.TOTALS:
        assert total(sums, figures["score", name]) == pytest.approx(scores[name])
    for task in mme.TASKS:
        for metric in ("acc", "acc_plus", "score"):
            assert total(sums, figures[metric, task]) == pytest.approx(
                scores["tasks"][task][metric]
            )


def test_mme_has_no_total_over_missing_tasks():
    sums = mme.per_image_sums(mme_rows(mme.HALLUCINATION), "official")
    figures = mme.statistics(list(sums.columns))
    assert ("score", "hallucination") in figures and ("score", "perception") not in figures


def test_seedbench_accuracy_by_image_leaves_videos_out():
    questions = [
        {"question_id": n, "data_id": f"{n // 4}", "question_type_id": 1 + n % 2,
         "answer": RNG.choice(list("ABCD")), "data_type": "video" if n > 15 else "image"}
        for n in range(20)
    ]  # fmt: skip
    benchmark = {"question_type": {"Scene": 1, "Counting": 2}, "questions": questions}
    answers = [{"question_id": n, "text": RNG.choice(list("ABCD"))} for n in range(16)]
    scores = seedbench.score(benchmark, answers, "letter", allow_partial=True)
    sums = seedbench.per_image_sums(benchmark, answers, "letter")
    assert len(sums) == 4 and list(sums.columns) == list(seedbench.COUNTS)
    accuracy = total(sums, seedbench.STATISTICS["accuracy"])
    assert accuracy == scores["seed_image"]["accuracy"]
    counting = seedbench.per_image_sums(benchmark, answers, "letter", "Counting")
    expected = scores["question_type"]["Counting"]["accuracy"]
    assert total(counting, seedbench.STATISTICS["accuracy"]) == expected


def hallusion_entries():
    return [
        {"category": category, "subcategory": "map", "visual_input": figure or int(category == "VD"),
         "set_id": s, "figure_id": figure, "question_id": q, "gt_answer": str(int(RNG.integers(2))),
         "model_prediction": RNG.choice(["Yes", "No", "Hm"])}
        for category in hallusionbench.CATEGORIES for s in range(6) for figure in range(3) for q in range(2)
    ]  # fmt: skip


@pytest.mark.parametrize("category", [None, "VD", "VS"])
def test_hallusionbench_by_set_is_the_scorers(category):
    entries = hallusion_entries()
    scores = hallusionbench.score(entries, entries, images_only=True)
    expected = scores if category is None else scores[category]
    sums = hallusionbench.per_set_sums(entries, entries, category)
    assert len(sums) == (12 if category is None else 6)
    for name, statistic in hallusionbench.STATISTICS.items():
        accuracy = expected[name]["accuracy"]
        value = total(sums, statistic)
        assert np.isnan(value) if accuracy is None else value == pytest.approx(accuracy)


WORDS = WordLists({"dog": ["puppy"], "cat": [], "cup": []}, frozenset({"image"}))


def amber_files():
    generative = [
        {"id": n, "type": "generative", "truth": ["dog"], "hallu": ["cat"]} for n in range(1, 7)
    ]
    kinds = [kind for kind in amber.PART_OF if kind != "generative"]
    judged = [
        {"id": n, "type": kinds[n % len(kinds)], "truth": RNG.choice(["yes", "no"])}
        for n in range(7, 49)
    ]
    answers = [
        {"id": n, "response": RNG.choice(["a dog", "a cat and a cup", "Hm"])} for n in range(1, 7)
    ]
    answers += [{"id": n, "response": RNG.choice(["Yes", "No", "Hm"])} for n in range(7, 49)]
    return [*generative, *judged], answers, {str(n): f"AMBER_{n % 6}.jpg" for n in range(1, 49)}


def test_amber_by_image_is_the_scorers(nltk_data):
    annotations, answers, image_of = amber_files()
    scores = amber.score(annotations, answers, WORDS, exact_similarity)
    describe = amber.description_counter(WORDS, exact_similarity)
    sums = amber.image_sums(annotations, answers, ("generative",), describe, image_of)
    assert len(sums) == 6
    for name, statistic in amber.statistics("generative").items():
        assert total(sums, statistic) == pytest.approx(scores["generative"][name])
    for group, parts in amber.GROUPS.items():
        judged = amber.image_sums(annotations, answers, parts, amber.count_judgement, image_of)
        for name, statistic in amber.statistics(group).items():
            assert total(judged, statistic) == pytest.approx(scores[group][name])


def test_an_interval_by_image_holds_the_figure():
    sums = mme.per_image_sums(mme_rows(["existence"]), "official")
    score = mme.statistics(list(sums.columns))["score", "existence"]
    interval = bootstrap(sums, score, 300, 0)
    assert interval.low <= interval.value <= interval.high and interval.n == 6
