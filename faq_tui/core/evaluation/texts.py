"""Read and describe the held-out prose and the files that the settings table `[evaluate]` names.

Error messages name the settings key, the file and the line.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.text import storable
from faq_tui.core.evaluation.heldout import Item
from faq_tui.core.evaluation.kinds import ANSWERS, CHOICES, GREEDY, LAST_WORD, WORDS, kind_of
from faq_tui.core.run.run import Run

STARTER = "starter"  # the name of the small sets that ship with faq-tui
PYDOC, WIKITEXT2 = "pydoc", "wikitext2"
# This number of bytes is read for each wanted token. The number is larger than the mean number of bytes per token of
# any tokenizer.
BYTES_A_TOKEN = 64
# `is_prose` compares a paragraph of Python's language reference with these constants.
MIN_WORDS = 20
PLAIN = re.compile(r"[A-Za-z ,.;:'\"()“”’‘–—-]")
PLAIN_SHARE = 0.95
NOT_PROSE = ("::=", ">>>", "://", "->")
SMALL = "a small set written for faq-tui, which shows large damage but not small differences"


def starter_file(kind_file: str) -> Path:
    return Path(str(files("faq_tui.core") / "data" / kind_file))


def json_lines(path: Path, key: str, limit: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (place, object) for the first `limit` non-empty lines. The place names the file and the line.

    Raises UsageError on a line that is not a JSON object, or if the file cannot be read.
    """
    for number, line in islice(_lines(path, key), limit):
        where = f"{path} line {number} of {key}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise UsageError(f"{where} is not JSON: correct or delete the line") from None
        if not isinstance(value, dict):
            raise UsageError(f"{where} is not a JSON object: correct or delete the line")
        yield where, value


def _lines(path: Path, key: str) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from ((number, line) for number, line in enumerate(file, 1) if line.strip())
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}: correct {key}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} of {key} is not UTF-8 text ({error.reason}): save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"cannot read {path} of {key}: {error.strerror}") from None


def text_of(value: Any, where: str, field: str) -> str:
    """The field's text, in a form that can be stored. Raises UsageError if the field is missing or empty."""
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f'{where} has no text "{field}": correct or delete the line')
    return storable(value)


def is_jsonl(run: Run, name: str) -> bool:
    return run.resolve(name).suffix.lower() in (".jsonl", ".ndjson")


def load_head(run: Run, name: str) -> str:
    """Read the first part of a text of `evaluate.perplexity`, with at least `evaluate.prose_tokens` tokens.

    Raises the same errors as `load_text`.
    """
    return load_text(run, name, "evaluate.perplexity", run.settings.evaluate.prose_tokens * BYTES_A_TOKEN)


def load_text(run: Run, name: str, key: str, limit: int | None = None) -> str:
    """Read a held-out text. `key` is the settings key that error messages name.

    At most `limit` bytes of a file are read. For "pydoc" and "wikitext2", `limit` counts characters. Raises
    UsageError if a file is missing, empty or not UTF-8, and FaqError if `datasets` cannot fetch the text.
    """
    if name == PYDOC:
        return pydoc_prose()[:limit]
    if name == WIKITEXT2:
        return _wikitext2(key)[:limit]
    return _file(run.resolve(name), limit, key)


def state(run: Run, name: str) -> Any:
    """A value that changes whenever the held-out text changes.

    The function computes this value without reading the text itself.
    """
    if name == PYDOC:
        return platform.python_version()
    if name in (WIKITEXT2, STARTER):
        return None
    path = run.resolve(name)
    return [path.stat().st_size, path.stat().st_mtime_ns] if path.is_file() else None


def _wikitext2(key: str) -> str:
    from datasets import load_dataset

    try:
        rows = load_dataset("Salesforce/wikitext", "wikitext-2-raw-v1", split="test")
        return "\n\n".join(rows["text"])
    except Exception as error:  # noqa: BLE001  hub client, network and parser errors alike
        reason = " ".join(str(error).split())[:200]
        raise FaqError(
            f"wikitext2 could not be fetched with `datasets` ({reason}): check the network, or use "
            f'"pydoc" or a text file in {key}'
        ) from None


def _file(path: Path, limit: int | None, key: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(limit)
            whole = not file.read(1)
    except (FileNotFoundError, IsADirectoryError):
        raise UsageError(f'there is no text file {path}: {key} takes "{PYDOC}", "{WIKITEXT2}" or a file') from None
    except OSError as error:
        raise UsageError(f"cannot read {path} of {key}: {error.strerror}") from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        if whole or error.reason != "unexpected end of data":
            raise UsageError(f"{path} of {key} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
        text = data[: error.start].decode("utf-8")  # the byte limit may have cut the last character in two
    if not text.strip():
        raise UsageError(f"{path} of {key} is empty: give a file with prose")
    return text.removeprefix("\ufeff")


def pydoc_prose() -> str:
    """The prose in `pydoc_data.topics`. This prose differs between Python versions.

    The topics are sorted. The lines of each paragraph are joined into one line. A repeated paragraph is kept only
    once.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise FaqError(
            'this Python lacks pydoc_data: put "wikitext2" or a text file into evaluate.perplexity'
        ) from None
    paragraphs = (p for name in sorted(topics) for p in re.split(r"\n\s*\n", topics[name]))
    joined = (" ".join(p.split()) for p in paragraphs)
    return "\n\n".join(dict.fromkeys(p for p in joined if is_prose(p)))


def is_prose(paragraph: str) -> bool:
    """True if a paragraph has whole sentences in plain words.

    The result is False for a grammar, code, a table, a list or a link.
    """
    return (
        len(paragraph.split()) >= MIN_WORDS
        and paragraph[0].isupper()
        and paragraph.rstrip().endswith((".", ".)"))
        and not any(mark in paragraph for mark in NOT_PROSE)
        and len(PLAIN.findall(paragraph)) >= PLAIN_SHARE * len(paragraph)
    )


def describe(run: Run, text: str, items: Sequence[Item]) -> str:
    """Describe a held-out text and how it is measured, for the report.

    `text` is the name that `named` makes. `items` are the text's items; they are used only for prose.
    """
    kind, settings = kind_of(text), run.settings.evaluate
    name = text.partition(":")[2] if kind != "prose" else text
    if kind == ANSWERS:
        who = f"the answers of source {name}" if name else "the unquantized target's own answers"
        return f"{who} to held-out seeds; token perplexity of the answers only"
    if kind == GREEDY:
        longest = settings.greedy_tokens
        return f"each model's own answers to held-out seeds, by greedy decoding, of at most {longest} tokens"
    if kind == CHOICES:
        what = SMALL if name == STARTER else f"multiple-choice file {name}"
        return f'{what}; the answer of the model is the likeliest choice after "Question: … Answer:"'
    if kind == LAST_WORD:
        what = SMALL if name == STARTER else f"passages of {_prose(name)}"
        return f"{what}; the model predicts the last word from all words before it"
    if kind == WORDS:
        most = "as many" if settings.word_window == "model" else f"{settings.word_window}"
        end = " as the model can read" if settings.word_window == "model" else ""
        return f"{_prose(name)}; word perplexity as in lm_eval, in rolling windows of {most} tokens{end}"
    longest = max(len(item.ids) for item in items)
    return f"{_prose(name)}; token perplexity in non-overlapping windows of {longest} tokens"


def _prose(name: str) -> str:
    if name == PYDOC:
        return f"prose from the language reference of Python {platform.python_version()}"
    if name == WIKITEXT2:
        return "WikiText-2 (raw), test split"
    return f"text file {name}"
