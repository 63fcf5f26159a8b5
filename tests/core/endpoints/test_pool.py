"""How much a server bears: the limit of its requests follows what it can do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.endpoints.pool import Server


class Nobody:
    endpoint = None


@given(st.integers(1, 200), st.lists(st.sampled_from(["fine", "busy"]), max_size=300))
def test_the_limit_stays_between_one_and_what_the_settings_say(most: int, course: list[str]) -> None:
    server = Server(Nobody(), most)  # type: ignore[arg-type]
    for now, what in enumerate(course):
        before = server.limit
        if what == "fine":
            server.succeeded()
            assert before <= server.limit <= before + 1
        else:
            server.lower(began=now, now=now)
            assert server.limit == max(1.0, before / 2)
        assert 1 <= server.limit <= most and server.free >= 1


def test_requests_that_were_under_way_together_lower_the_limit_once() -> None:
    server = Server(Nobody(), 64)  # type: ignore[arg-type]
    for _ in range(20):
        server.lower(began=1.0, now=2.0)
    assert server.limit == 32.0
    for _ in range(32):
        server.succeeded()
    assert server.limit == 33.0, "one more for each window of successes"
