"""Find the language of a text by its script and its function words, to detect an answer in another language.

Function words are words such as "the" and "of". The result is None if the language would be a guess. Examples are
short texts, code, formulas and mixtures of languages.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter
from functools import cache
from importlib.resources import files

LEAST_LETTERS = 12  # the language of a text with fewer letters is uncertain
LEAST_WORDS = 15  # if several languages use the script, the language of a text with fewer words is uncertain
# At least this share of a text's words must be function words (such as "the" and "of"). In usual prose, the share of
# function words is 0.2 to 0.5.
LEAST_SHARE = 0.12
# The text must have at least LEAST_LEAD times as many function words of the most likely language as of the second
# most likely language.
LEAST_LEAD = 1.3
SCRIPT_SHARE = 0.6  # at least this share of a text's letters must belong to one script

# The first word of a character's Unicode name gives its script.
SCRIPTS = {
    "CJK": "zh",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "ARABIC": "ar",
    "DEVANAGARI": "hi",
    "HEBREW": "he",
    "GREEK": "el",
    "THAI": "th",
    "LATIN": "latin",
    "CYRILLIC": "cyrillic",
}
CYRILLIC = frozenset({"ru", "uk", "bg"})
SHARED = frozenset({"latin", "cyrillic"})  # scripts that several languages use
READ = 4000  # only the first READ characters of a text are read

_TRANSLATE = re.compile(
    r"translat|übersetz|tradu[cizt]|vertaal|översätt|přelož|przetłumacz|çevir|terjemah|dịch|перевед|перекла|翻译|翻譯|翻訳|訳し|번역|ترجم|अनुवाद"
    r"|language|langue|idioma|sprache|lingua|язык|语言|語言|言語|언어",
    re.IGNORECASE,
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|\\\[.*?\\\]|https?://\S+", re.DOTALL)


@cache
def _languages() -> dict[str, tuple[frozenset[str], re.Pattern[str]]]:
    text = (files("faq_tui.core.regenerating") / "data" / "languages.toml").read_text(encoding="utf-8")
    return {
        code: (
            frozenset(entry.get("words", "").split()),
            re.compile("|".join(map(re.escape, entry["names"].split())), re.IGNORECASE),
        )
        for code, entry in tomllib.loads(text).items()
    }


def language_of(text: str) -> str | None:
    """The ISO 639-1 code of the text's language; None if the language is uncertain."""
    prose = _prose(text)
    script = _main_script(prose)
    if script not in SHARED:
        return script
    return _by_words(prose, {c for c in _languages() if script_of_language(c) == script})


def script_of_language(code: str) -> str:
    """The script of the language `code`.

    If only this language uses its script, the result is `code` itself. If several languages use the script, the
    result is "latin" or "cyrillic".
    """
    if code in CYRILLIC:
        return "cyrillic"
    return code if code in SCRIPTS.values() else "latin"


def _prose(text: str) -> str:
    return unicodedata.normalize("NFC", _CODE.sub(" ", text[: 4 * READ]))[:READ]


def _main_script(prose: str) -> str | None:
    """The script of most letters; None if the letters are a mixture. If only one language uses the script, the result
    is the code of this language.
    """
    counted = Counter(script for letter in prose if letter.isalpha() and (script := _script(letter)))
    letters = counted.total()
    if letters < LEAST_LETTERS:
        return None
    if counted["ja"] >= 0.1 * letters and counted["ja"] + counted["zh"] >= SCRIPT_SHARE * letters:
        return "ja"  # Japanese texts contain Japanese and Chinese letters
    script, count = counted.most_common(1)[0]
    return script if count >= SCRIPT_SHARE * letters else None


def _by_words(prose: str, codes: set[str]) -> str | None:
    words = [word.casefold() for word in re.findall(r"[^\W\d_]+", prose)]
    if len(words) < LEAST_WORDS:
        return None
    hits = sorted(((sum(w in _languages()[code][0] for w in words), code) for code in codes), reverse=True)
    (best, code), (second, _) = hits[0], hits[1]
    return code if best >= LEAST_SHARE * len(words) and best >= LEAST_LEAD * second else None


@cache
def _script(letter: str) -> str | None:
    return SCRIPTS.get(unicodedata.name(letter, "").partition(" ")[0].partition("-")[0])


def asks_for_another(question: str) -> bool:
    """True if the question names a language or asks for a translation.

    If a question names a language, the answer may be in any language.
    """
    return _TRANSLATE.search(question) is not None or any(
        names.search(question) for _, names in _languages().values()
    )


def in_another_language(question: str, answer: str, language: str | None = None) -> tuple[str, str] | None:
    """The languages of the question and of the answer, if both are certain and differ; else None.

    `language` is the language that the seed file states. If a question names a language or asks for a translation,
    the answer may be in any language.
    """
    answered = language_of(answer)
    if answered is None or asks_for_another(question):
        return None
    expected = language_of(question) or (language or "").casefold().partition("-")[0]
    if expected in _languages():
        return (expected, answered) if expected != answered else None
    # Even if the question is too short to find its language, its script is known. If question and answer have
    # different scripts, they have different languages.
    script = _main_script(_prose(question))
    return (script, answered) if script is not None and script != script_of_language(answered) else None
