"""Texts become the tokens that a model meets: of prompt and answer in one piece, in every tokenizer."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from seednb.core.errors import SeedError
from seednb.data.instruct import IMAGE_TAG
from seednb.model.inputs.prompts import (
    PLAIN,
    TEMPLATES,
    ImageTokens,
    answer_spans,
    check_tokenizer,
    encode,
    encode_prompt,
    next_token,
)

POCKET = Path(__file__).parents[3] / "seednb/assets/pocket-llava"
SPACE = "\u2581"
SAID = [
    "USER: <image>\nIs there a dog in the image? ASSISTANT: Yes, a dog and a cat.",
    "USER: <image>\nDescribe this image. ASSISTANT: No, a traffic light, and 12 cups.",
    "A chat between a curious user and an artificial intelligence assistant.",
    *["Yes No dog cat A a"] * 20,
]
CONTROL = ["<unk>", "<s>", "</s>"]
SENTENCEPIECE_DECODER = [
    decoders.Replace(SPACE, " "),
    decoders.ByteFallback(),
    decoders.Fuse(),
    decoders.Strip(" ", 1, 0),
]


def llama(newer_form):
    """Llama's byte-fallback BPE: a space before every text (old form) or before the first (new)."""
    model = models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(SPACE, "merged_with_next")  # while it is trained
    all_bytes = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=CONTROL + all_bytes, show_progress=False
    )
    tokenizer.train_from_iterator(SAID, trainer)
    tokenizer.pre_tokenizer = None
    if newer_form:
        tokenizer.normalizer = None
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(
            SPACE, prepend_scheme="first", split=False
        )
    tokenizer.decoder = decoders.Sequence(SENTENCEPIECE_DECODER)
    written = json.loads(tokenizer.to_str())
    written["added_tokens"] = written["added_tokens"][: len(CONTROL)]  # bytes are ordinary tokens
    return Tokenizer.from_str(json.dumps(written))


def unigram():
    """SentencePiece's unigram model, which ends every text as T5's does."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(SPACE)
    tokenizer.decoder = decoders.Metaspace(SPACE)
    alphabet = [chr(code) for code in range(33, 127)] + ["\n"]
    trainer = trainers.UnigramTrainer(
        vocab_size=180,
        special_tokens=CONTROL,
        unk_token="<unk>",
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(SAID, trainer)
    return tokenizer


def qwen():
    """Byte-level BPE without a start of text; digits apart."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=CONTROL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SAID, trainer)
    return tokenizer


def finished(tokenizer, start=True, end=False):
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in (IMAGE_TAG, "<pad>")])
    pieces = "<s> " * start + "$A" + " </s>" * end
    names = [("<s>", 1)] * start + [("</s>", 2)] * end
    tokenizer.post_processor = processors.TemplateProcessing(pieces, special_tokens=names)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
    )


TOKENIZERS = {
    "pocket": AutoTokenizer.from_pretrained(POCKET),
    "llama, older form": finished(llama(newer_form=False)),
    "llama, newer form": finished(llama(newer_form=True)),
    "unigram": finished(unigram(), end=True),
    "qwen": finished(qwen(), start=False),
}


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request):
    return TOKENIZERS[request.param]


def image_of(tokenizer, n=3):
    return ImageTokens(IMAGE_TAG, (tokenizer.convert_tokens_to_ids(IMAGE_TAG),) * n)


texts = st.text(st.sampled_from(list(" \n.,'aYeN0123是犬😀é-")), min_size=1, max_size=24)


@given(question=texts, answer=texts, name=st.sampled_from(sorted(TOKENIZERS)))
@settings(deadline=None, max_examples=150)
def test_trained_tokens_are_those_of_the_whole_text(question, answer, name):
    tokenizer = TOKENIZERS[name]
    image = image_of(tokenizer, n=1)
    if not answer.strip():
        return
    try:
        text = encode(question, answer, tokenizer, image, PLAIN)
    except SeedError as refused:
        assert "in one token" in str(refused) or "no tokens" in str(refused)
        return
    whole = tokenizer(f"{PLAIN.format(question=question)} {answer.strip()}").input_ids
    end = [] if whole[-1] == tokenizer.eos_token_id else [tokenizer.eos_token_id]
    assert list(text.input_ids) == whole + end
    assert list(text.input_ids[: text.n_prompt]) == encode_prompt(question, tokenizer, image, PLAIN)


def test_yes_and_no_begin_with_tokens_of_their_own(tokenizer):
    first = [next_token(word, tokenizer, IMAGE_TAG, PLAIN) for word in ("Yes", "No")]
    assert first[0] != first[1]
    for template in TEMPLATES.values():
        check_tokenizer(tokenizer, IMAGE_TAG, template)


def test_object_words_inside_a_caption_begin_with_tokens_of_their_own(tokenizer):
    first = [next_token(t, tokenizer, IMAGE_TAG, PLAIN, after="a") for t in (" dog", " cat", ",")]
    assert len(set(first)) == 3
    assert tokenizer.decode(first[2]).strip() == ","


@pytest.mark.parametrize("name", ["pocket", "llama, older form", "llama, newer form", "qwen"])
@pytest.mark.parametrize("answer", ["A tag, </s> and a dog.", "</s>", "<pad> <unk>", "<s>x</s>"])
def test_names_of_control_tokens_are_plain_characters(name, answer):
    tokenizer = TOKENIZERS[name]
    text = encode("Is <s>this</s> it?", answer, tokenizer, image_of(tokenizer), PLAIN)
    control = {tokenizer.convert_tokens_to_ids(name) for name in (*CONTROL, "<pad>")}
    ordinary = text.input_ids[text.input_ids[0] == tokenizer.bos_token_id : -1]
    assert not control.intersection(ordinary)
    assert tokenizer.decode(text.predicted[:-1]).strip() == answer


def test_a_text_that_would_become_a_control_token_is_refused():
    tokenizer = TOKENIZERS["unigram"]  # its vocabulary holds the name itself as a piece
    with pytest.raises(SeedError, match="contains </s>"):
        encode("What is it?", "a </s> tag", tokenizer, image_of(tokenizer), PLAIN)


def test_reading_names_as_characters_changes_no_other_text(tokenizer):
    image = image_of(tokenizer)
    plain = encode("A dog?", "Yes, a dog.", tokenizer, image, PLAIN)
    with_name = encode("A dog?", "Yes, a dog. <pad>", tokenizer, image, PLAIN)
    n = len(plain.input_ids) - 1
    assert with_name.input_ids[:n] == plain.input_ids[:n]


def test_spans_cover_the_answer_in_order(tokenizer):
    answer = "A dog, a cat and 12 cups."
    spans = answer_spans("What?", answer, tokenizer, IMAGE_TAG, PLAIN)
    text = encode("What?", answer, tokenizer, image_of(tokenizer), PLAIN)
    assert len(spans) == len(text.predicted) - 1
    assert spans[-1][1] == len(answer) + 1
    dog = next(n for n, (_, end) in enumerate(spans) if end > answer.index("dog") + 1)
    assert tokenizer.decode([text.predicted[dog]]).strip().startswith("d")


def test_a_tokenizer_without_the_image_tag_is_named():
    lacking = PreTrainedTokenizerFast(
        tokenizer_object=qwen(), unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    with pytest.raises(SeedError, match="does not know the image tag"):
        check_tokenizer(lacking, IMAGE_TAG, PLAIN)
