"""The app says which server the job waits for, since when, and until when."""

from __future__ import annotations

import time

from faq_tui.core.run.events import ServerBack, ServerWaiting, StageFailed, StageStarted
from faq_tui.tui.live import LiveState
from faq_tui.tui.panes.regenerate.figures import figures
from faq_tui.tui.waiting import waiting_in_words

NOW = 1_800_000_000.0


def waits(gives_up: float | None, url: str = "http://a/v1") -> ServerWaiting:
    return ServerWaiting(url, "Connection \x1b[31mrefused", NOW - 60, NOW + 5, gives_up)


def test_the_wait_is_one_line_until_it_ends() -> None:
    live = LiveState()
    live.apply(StageStarted("regenerate", 9, "candidates"), NOW)
    live.apply(waits(NOW + 540), NOW)
    said = waiting_in_words(live.waiting.values(), NOW)
    until = time.strftime("%H:%M:%S", time.localtime(NOW + 540))
    assert said.startswith("waiting for http://a/v1 since ") and "\x1b" not in said
    assert said.endswith(f"next try in 0:05, gives up at {until}")
    shown = figures(live, None, 9, NOW)
    assert shown[0] == said
    assert not any("in flight" in part or "left" in part or "tokens/s" in part for part in shown), "nothing goes on"
    live.apply(ServerBack("http://a/v1", 65.0), NOW)
    assert live.waiting == {} and said not in figures(live, None, 9, NOW)


def test_a_server_that_others_replace_and_the_end_of_the_stage() -> None:
    live = LiveState()
    live.apply(StageStarted("regenerate", 9, "candidates"), NOW)
    live.apply(waits(None), NOW)
    assert waiting_in_words(live.waiting.values(), NOW) == ""
    live.apply(waits(NOW + 1, "http://b/v1"), NOW)
    assert "http://b/v1" in waiting_in_words(live.waiting.values(), NOW)
    live.apply(StageFailed("regenerate", "cannot reach", 3), NOW)
    assert live.waiting == {}
