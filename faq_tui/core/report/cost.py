"""What the run cost so far: the tokens that the sources wrote, and the time of each stage."""

from __future__ import annotations

from typing import Any

from faq_tui.core.base.text import counted, duration
from faq_tui.core.regenerating.candidate_requests import source_hash_of
from faq_tui.core.report.formatting import escape
from faq_tui.core.run.run import Run
from faq_tui.core.store import candidates, stages


def cost(run: Run) -> dict[str, Any]:
    """`generated` maps each source to the tokens of its candidates. `seconds` maps each stage to its time.

    If the tokens of some candidates are unknown, because their server did not report them, the source is left out.

    Only the candidates that the settings ask for are counted. If a stage was stopped and continued, its time is the
    time of its last part.
    """
    tallies = {
        name: candidates.tally(run.store, source_hash_of(source), source.candidates)
        for name, source in run.settings.sources.items()
    }
    rows = {name: row for name, row in stages.all_rows(run.store).items() if name != "report"}
    return {
        "generated": {
            name: tally.completion_tokens for name, tally in tallies.items() if tally.counted == tally.candidates > 0
        },
        "seconds": {name: row.finished - row.started for name, row in rows.items() if row.finished is not None},
    }


def cost_line(body: dict[str, Any]) -> str:
    """The cost as one sentence of Markdown; "" if nothing is known. `body` is what `document` returns."""
    known = body.get("cost", {"generated": {}, "seconds": {}})
    tokens = [f"{escape(name)} wrote {counted(count, 'token')}" for name, count in known["generated"].items()]
    times = [
        f"{stage} {duration(seconds, exact=True)}" for stage, seconds in known["seconds"].items() if seconds >= 1
    ]
    total = duration(sum(known["seconds"].values()), exact=True)
    parts = [*tokens, *([f"the stages took {total} ({', '.join(times)})"] if times else [])]
    return f"What it cost: {', and '.join(parts)}." if parts else ""
