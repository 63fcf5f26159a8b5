"""Which calibration sets a run has, and what each is made from. Their names are a contract."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from faq_tui.core.settings.section import BASELINE, TOKENS_SUFFIX
from faq_tui.core.settings.sets import KINDS_BY_NAME, SetPlan

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")  # of a file, and a part of a folder's name


def default_names(sources: Iterable[str]) -> tuple[str, ...]:
    """The sets of every run: equal samples."""
    return (BASELINE, *sources)


def twin_names(sources: Iterable[str]) -> tuple[str, ...]:
    """Their twins at equal tokens; none where there is nothing to compare."""
    names = tuple(sources)
    return tuple(f"{name}{TOKENS_SUFFIX}" for name in default_names(names)) if names else ()


def further_names(sources: Iterable[str], sets: Mapping[str, SetPlan], asked: Iterable[str]) -> tuple[str, ...]:
    """Sets of `[sets]`, and the known kinds of the baseline that a recipe asks for by name."""
    default = default_names(sources)
    named = (*sets, *(name for name in asked if name in KINDS_BY_NAME))
    return tuple(dict.fromkeys(name for name in named if name not in default))


def plans(names: Iterable[str], sources: Iterable[str], sets: Mapping[str, SetPlan]) -> dict[str, SetPlan]:
    """Each set's plan with nothing left open: `from` and `kind` are said."""
    known = set(sources)
    return {name: _whole(name, name if name in known else BASELINE, sets.get(name, SetPlan())) for name in names}


def _whole(name: str, own: str, plan: SetPlan) -> SetPlan:
    kind = plan.kind or KINDS_BY_NAME.get(name, "seed")
    return plan.model_copy(update={"made_from": plan.parts(own), "kind": kind})


def check(sources: Iterable[str], sets: Mapping[str, SetPlan], asked: Iterable[str]) -> None:
    """Raise ValueError for a section of `[sets]` that cannot be made."""
    sources = tuple(sources)
    twins = twin_names(sources)
    names = (*default_names(sources), *further_names(sources, sets, asked))
    for name, plan in sets.items():
        if not NAME.fullmatch(name):
            raise ValueError(f"sets.{name}: a set's name is letters, digits, _ and -: it names a file and folders")
        if name in twins:
            raise ValueError(f"sets.{name}: this name belongs to the twin at equal tokens, which is made by itself")
        for part in plan.parts(name if name in sources else BASELINE):
            if part not in default_names(sources):
                raise ValueError(
                    f"sets.{name}.from: no source {part!r}; there are {', '.join(default_names(sources))}"
                )
        for other in plan.match.names() - set(names):
            raise ValueError(f"sets.{name}.match: no set {other!r}; there are {', '.join(names)}")
    list(in_order(plans(names, sources, sets)))


def in_order(found: Mapping[str, SetPlan]) -> Iterator[str]:
    """The sets' names, each after those whose size it takes. Raises ValueError where two wait for each other."""
    done: list[str] = []
    waiting = list(found)
    while waiting:
        ready = [name for name in waiting if found[name].match.names() <= set(done)]
        if not ready:
            raise ValueError(f"sets: {', '.join(waiting)} take their size from each other: one must set its own")
        done += ready
        waiting = [name for name in waiting if name not in ready]
    yield from done
