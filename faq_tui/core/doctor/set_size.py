"""The size of the largest calibration set. Before the sets are assembled, the size is estimated."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from faq_tui.core.base.errors import FaqError
from faq_tui.core.endpoints.remembered import known_capabilities
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.regenerating.candidate_requests import SAMPLE
from faq_tui.core.regenerating.generation_cost import CHARACTERS_PER_TOKEN, TEMPLATE_TOKENS
from faq_tui.core.run.run import Run
from faq_tui.core.seeds import Problem, read_records, read_seed
from faq_tui.core.seeds.files import is_pattern
from faq_tui.core.seeds.formats.hub_dataset import is_dataset_folder
from faq_tui.core.seeds.read import STARTER, format_of, starter_path
from faq_tui.core.seeds.reasons import ShapeError
from faq_tui.core.settings import EMBEDDED, Source
from faq_tui.core.settings.section import BASELINE
from faq_tui.core.settings.sets import plain_name, twin_names
from faq_tui.core.stages.seeds import role_counts
from faq_tui.core.store import candidates
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.seeds import Seed
from faq_tui.core.store.sets import all_sets

DATASETS = "datasets"  # the name of the seed format that reads data sets of the hub, perhaps over the network
MOST_READ, MOST_SECONDS = 2000, 1.0  # of a seed file, at most this many rows are read, for at most this many seconds


@dataclass(frozen=True)
class SetSize:
    """`longest` is an upper limit for the tokens of one row. `words` says how the size is known.

    If `at_most` is true, `tokens` is an upper limit, too.
    """

    rows: int
    tokens: int
    longest: int
    words: str
    at_most: bool = False


def largest_set(run: Run) -> SetSize:
    """The size of the largest calibration set.

    If no set is assembled yet, the size is estimated from the lengths of the questions, and from finished candidates.
    If a source has no candidates yet, each answer counts with the `max_tokens` of the source, or with the rest of the
    server's window if this is less.
    """
    sets, most = all_sets(run.store).values(), run.settings.assemble.max_tokens
    if sets:
        largest = max(sets, key=lambda row: row.tokens)
        words = f"{largest.tokens:,} tokens in set {largest.name}"
        return SetSize(largest.samples, largest.tokens, min(most, largest.tokens), words)
    seeds, rows = _seeds_and_rows(run)
    if not seeds:
        words = f"at most {rows * most:,} tokens in a set: the seeds are not read yet, so each of the {rows:,} rows "
        return SetSize(rows, rows * most, most, f"{words}counts with assemble.max_tokens = {most:,}", True)
    estimates = [_of_source(run, name, run.settings.sources[name], seeds, rows) for name in _used_sources(run)]
    return max([_of_baseline(seeds, rows, most), *estimates], key=lambda size: size.tokens)


def most_answer_tokens(run: Run, name: str) -> tuple[int, int]:
    """The number of answers that the source `name` gives, and an upper limit for the tokens of all these answers.

    Second requests for an answer are not counted.
    """
    source, (seeds, rows) = run.settings.sources[name], _seeds_and_rows(run)
    most, window = source.sampling.most_tokens, window_of(run, source)
    answers = rows * source.candidates
    if window is None:
        return answers, answers * most
    room = [max(1, window - _prompt_tokens(seed)) for seed in seeds] or [window]
    return answers, round(answers * fmean(min(most, left) for left in room))


def _seeds_and_rows(run: Run) -> tuple[list[Seed], int]:
    """Some seeds, and the number of rows of a set.

    A set has as many rows as `seeds.count` asks for, if there are so many seeds.
    """
    settings = run.settings.seeds
    seeds, known = seed_rows.by_role(run.store, "chosen"), sum(seed_rows.counts(run.store).values())
    if not seeds:
        seeds, known = [], 0
        for seed in _first_seeds(run):
            if seed is None:
                known = len(seeds)  # the whole file was read
            else:
                seeds.append(seed)
    return seeds, max(1, role_counts(settings, known)[0]) if known else settings.count


def _used_sources(run: Run) -> list[str]:
    """The sources whose answers a recipe may use. A set of `[sets]` may use the answers of each source."""
    names = {plain_name(name) for recipe in run.settings.recipes for name in run.settings.sets_of(recipe)}
    twins = dict(zip(twin_names(run.settings.sources), (BASELINE, *run.settings.sources), strict=False))
    made_from = {twins.get(name, name) for name in names}
    further = made_from - {BASELINE, *run.settings.sources}
    return [name for name in run.settings.sources if further or name in made_from]


def _of_baseline(seeds: Sequence[Seed], rows: int, most: int) -> SetSize:
    answers = [_tokens_of(seed.answer or "") for seed in seeds]
    lengths = [min(most, _prompt_tokens(seed) + answer) for seed, answer in zip(seeds, answers, strict=True)]
    what = "questions with their original answers" if any(answers) else "questions"
    return _size(rows, fmean(lengths), max(lengths), "about", f"estimated from the lengths of the {what}")


def _of_source(run: Run, name: str, source: Source, seeds: Sequence[Seed], rows: int) -> SetSize:
    most, source_hash = run.settings.assemble.max_tokens, source_hash_of(source)
    how = f"measured on {{}} candidates of {name}"
    found = candidates.lengths(run.store, source_hash, source.candidates, most)
    if found.candidates < SAMPLE:
        found = candidates.lengths_before(run.store, name, source_hash, most)
        how += " under earlier settings"
    if found.candidates >= SAMPLE:
        return _size(rows, found.mean, found.longest, "about", how.format(f"{found.candidates:,}"))
    whole = [_prompt_tokens(seed) + source.sampling.most_tokens for seed in seeds]
    window = window_of(run, source)
    fitting = whole if window is None else [min(window, length) for length in whole]
    lengths = [min(most, length) for length in fitting]
    mean_prompt = fmean(map(_prompt_tokens, seeds))
    words = f"questions of about {mean_prompt:,.0f} tokens, and answers of {name} up to max_tokens = "
    words += f"{source.sampling.most_tokens:,}"
    if fitting != whole and lengths == fitting:
        words += f", but at most {window:,} tokens together, because this is the window of its server"
    elif lengths != fitting:
        words += f", cut at assemble.max_tokens = {most:,}"
    return _size(rows, fmean(lengths), max(lengths), "at most", words)


def window_of(run: Run, source: Source) -> int | None:
    """The largest number of tokens of question and answer together that each server of the source allows.

    None if a server has not reported its window yet.
    """
    if source.base_url == EMBEDDED:
        from faq_tui.core.embedded.server import SLOT_TOKENS

        return SLOT_TOKENS
    windows = [known_capabilities(run.store, url, source.model).window for url in source.urls]
    known = [window for window in windows if window is not None]
    return max(known) if known and len(known) == len(windows) else None


def _size(rows: int, each: float, longest: int, about: str, how: str) -> SetSize:
    tokens = max(1, round(rows * each))
    several = "row" if rows == 1 else "rows"
    words = f"{about} {tokens:,} tokens in a set: {rows:,} {several} of {each:,.0f} tokens ({how})"
    return SetSize(rows, tokens, max(1, longest), words, about == "at most")


def _prompt_tokens(seed: Seed) -> int:
    return TEMPLATE_TOKENS + sum(_tokens_of(message["content"]) for message in seed.messages)


def _tokens_of(text: str) -> int:
    return round(len(text) / CHARACTERS_PER_TOKEN)


def _first_seeds(run: Run) -> Iterator[Seed | None]:
    """The first seeds of the file; after the last one, None. Nothing if the file cannot be read now."""
    settings = run.settings.seeds
    path = starter_path() if settings.path == STARTER else run.resolve(settings.path)
    deadline = time.monotonic() + MOST_SECONDS
    try:
        several = is_pattern(path, settings.path) or (path.is_dir() and not is_dataset_folder(path))
        if not several and format_of(path, settings.path).name == DATASETS:
            return
        for number, item in enumerate(read_records(path, settings)):
            if number >= MOST_READ or time.monotonic() > deadline:
                return
            if isinstance(item, Problem):
                continue
            try:
                yield read_seed(item.raw, settings, "").seed
            except ShapeError:
                continue
        yield None
    except (FaqError, OSError, RuntimeError, ValueError):
        return
