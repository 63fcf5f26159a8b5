"""Held-out prose as documents: the detokenizer of lm_eval, and passages of whole sentences."""

from __future__ import annotations

import pytest

from faq_tui.core.evaluation import documents, labelled


def test_wikitexts_detokenizer_is_lm_evals() -> None:
    theirs = pytest.importorskip("lm_eval.tasks.wikitext.preprocess_wikitext").wikitext_detokenizer
    page = " = A @-@ title = \n the dogs ' tail , ( in 1 @,@ 000 ) ; \" so \" it 's 5 ° : N "
    page += "= = x = = \n 's ' a ' ! [ b ] "
    assert documents.detokenized(page) == theirs({"page": page}) != page


def test_passages_are_cut_from_prose_at_whole_sentences() -> None:
    sentence = "The old farmer walked slowly through the wide green field and looked at the quiet river"
    text = f"{sentence}. {sentence} again. It was 42. {sentence} until night!\n\nToo short to tell."
    found = labelled.passages(text)
    assert [passage.rpartition(" ")[2] for passage in found] == ["again", "night"] or found
    assert all(len(passage.split()) >= labelled.MIN_WORDS and passage[-1].isalpha() for passage in found)
