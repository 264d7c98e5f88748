"""VQA's normalisation of short answers: both sides of a match pass it before they are compared."""

import re
from functools import cache

from seednb.errors import SeedError

RULES = ("llava", "lmms-eval")
MARKS = ';/[]"{}()=+\\_-><@`,?!'
DIGITS = "zero one two three four five six seven eight nine ten"
NUMBERS = {word: str(n) for n, word in enumerate(DIGITS.split())} | {"none": "0"}
ARTICLES = {"a", "an", "the"}
RESTORED = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've
might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've
shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
someone's something'd something'd've something'll that's there'd there'd've there're there's
they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's
won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
# What stands for a contraction is the contraction without one of its apostrophes. The last entry
# is VQA's own slip the other way round; words such as "she'd" are left alone because "shed" is one.
CONTRACTIONS = {
    word[: mark.start()] + word[mark.end() :]: word
    for word in RESTORED.split()
    for mark in re.finditer("'", word)
} | {"somebody'd": "somebodyd"}


@cache  # annotators repeat each other: most of the two million answers of val2014 are known
def normalise(answer: str, rule: str) -> str:
    """An answer as VQA compares it.

    Newlines and tabs to spaces, the punctuation pass, lower case, number words to digits, articles
    dropped, apostrophes restored. `llava` (its submission script and m4c evaluator) first drops
    commas and question marks and splits off 's; `lmms-eval` does not. Raises SeedError for another
    rule.
    """
    if rule not in RULES:
        raise SeedError(f"VQA normalisation {rule!r} is unknown; use one of {', '.join(RULES)}")
    if rule == "llava":
        answer = answer.lower().replace(",", "").replace("?", "").replace("'s", " 's")
    text = answer.replace("\n", " ").replace("\t", " ").strip()
    digits = [NUMBERS.get(word, word) for word in drop_punctuation(text).lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in digits if word not in ARTICLES)


def drop_punctuation(text: str, between_digits: str = r"\d,+\d") -> str:
    """VQA's punctuation pass.

    A mark is deleted if it touches a space anywhere in the text, or if the text holds
    `between_digits`; else it becomes a space. Full stops go unless a digit follows.
    """
    cleaned, is_numeric = text, re.search(between_digits, text)
    for mark in MARKS:
        deleted = is_numeric or f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if deleted else " ")
    # The published pass hands re.UNICODE (32) to `count`, so it removes at most 32 full stops.
    return re.sub(r"\.(?!\d)", "", cleaned, count=32)
