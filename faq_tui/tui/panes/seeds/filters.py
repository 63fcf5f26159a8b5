"""The filters of the list of seeds: the menu that chooses a filter, and the text that describes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from faq_tui.core.store.seed_pages import STATES, SeedFilter
from faq_tui.tui.widgets.menu import Group

STATE, LENGTH, CATEGORY, FILE, TAG = "State", "Length of the question", "Category", "File", "Tag"
ANY = ""  # the value of a group in the menu that does not filter the seeds
LENGTHS: dict[str, tuple[int | None, int | None]] = {
    "up to 100 characters": (None, 100),
    "101 to 500 characters": (101, 500),
    "501 to 2,000 characters": (501, 2000),
    "over 2,000 characters": (2001, None),
}
MEANINGS = {
    "excluded": "excluded: a person left it out",
    "held out": "held out: kept for the evaluation",
    "unused": "unused: a reserve, from which the plain set can grow to equal tokens",
    "hand-picked": "hand-picked: a person chose the candidate",
    "rejected": "rejected: a person rejected all candidates",
    "picked": "picked: the judge chose the candidate",
    "none usable": "none usable: no candidate is usable",
    "waiting": "waiting: no candidate yet",
    "partly": "partly: some candidates are missing",
    "not judged": "not judged: it has all candidates, but no scores yet",
}


def groups(now: SeedFilter, categories: Sequence[str], files: Sequence[str], tags: Sequence[str]) -> list[Group]:
    """The groups of the menu.

    The groups Category and Tag appear if any seed has a category or a tag. The group File appears if there are
    several files.
    """
    menu = [
        Group(STATE, {ANY: "any", **{name: MEANINGS[name] for name in STATES}}, now.state or ANY),
        Group(LENGTH, {ANY: "any", **{name: name for name in LENGTHS}}, length_name(now)),
    ]
    several = files if len(files) > 1 or now.file else ()
    named = ((CATEGORY, categories, now.category), (FILE, several, now.file), (TAG, tags, now.tag))
    for name, values, chosen in named:
        if values:
            menu.append(Group(name, {ANY: "any", **{value: value for value in values}}, chosen or ANY))
    return menu


def narrowed(now: SeedFilter, group: str, value: str) -> SeedFilter:
    """The filter after the user has chosen `value` in a group of the menu."""
    match group:
        case "State":
            return replace(now, state=value or None)
        case "Category":
            return replace(now, category=value or None)
        case "File":
            return replace(now, file=value or None)
        case "Tag":
            return replace(now, tag=value or None)
    shortest, longest = LENGTHS.get(value, (None, None))
    return replace(now, shortest=shortest, longest=longest)


def length_name(now: SeedFilter) -> str:
    bounds = (now.shortest, now.longest)
    return next((name for name, between in LENGTHS.items() if between == bounds), ANY)


def in_words(now: SeedFilter) -> str:
    """The filter as text, such as `“bread”, picked, code, #hard, up to 100 characters`."""
    parts = [
        f"“{now.text}”" if now.text else "",
        now.state or "",
        now.category or "",
        f"from {now.file}" if now.file else "",
        f"#{now.tag}" if now.tag else "",
        length_name(now),
    ]
    return ", ".join(part for part in parts if part)
