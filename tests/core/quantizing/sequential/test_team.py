"""The threads of several devices: results in order, and the first error ends all of them."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import pytest
import torch

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.quantizing.sequential.team import Team

TWO = ["cpu", "cpu"]


def until_ended(team: Team, seen: list[BaseException]) -> Callable[[], None]:
    """Work that goes on until `check` ends it."""

    def work() -> None:
        try:
            while True:
                team.check()
                time.sleep(0.001)
        except BaseException as error:
            seen.append(error)
            raise

    return work


def test_each_device_has_its_thread_without_gradients_and_results_keep_their_order() -> None:
    both = threading.Barrier(2, timeout=10)

    def work(number: int) -> tuple[int, bool, int]:
        both.wait()  # passes only if both work at the same time
        return number, torch.is_grad_enabled(), threading.get_ident()

    with Team(TWO, lambda: None) as team:
        first = team.each([lambda: work(0), lambda: work(1)])
    assert [(number, grad) for number, grad, _ in first] == [(0, False), (1, False)]
    assert len({ident for *_, ident in first} | {threading.get_ident()}) == 3


def test_one_device_works_in_the_calling_thread() -> None:
    with Team(["cpu"], lambda: None) as team:
        assert team.each([threading.get_ident]) == [threading.get_ident()]


def test_the_first_error_ends_all_threads_and_is_raised() -> None:
    ended: list[BaseException] = []

    def fails() -> None:
        raise FaqError("no room")

    with Team(TWO, lambda: None) as team, pytest.raises(FaqError, match="no room"):
        team.each([until_ended(team, ended), fails])
    assert len(ended) == 1 and not isinstance(ended[0], FaqError)


def test_a_stop_ends_all_threads() -> None:
    cancel, ended = CancelToken(), list[BaseException]()
    timer = threading.Timer(0.05, cancel.set)
    timer.start()
    with Team(TWO, cancel.check) as team, pytest.raises(Stopped):
        team.each([until_ended(team, ended), until_ended(team, ended)])
    assert len(ended) == 2


def test_a_signal_to_the_main_thread_ends_the_threads_first() -> None:
    ended: list[BaseException] = []
    timer = threading.Timer(0.05, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    timer.start()
    with Team(TWO, lambda: None) as team, pytest.raises(KeyboardInterrupt):
        team.each([until_ended(team, ended), until_ended(team, ended)])
    assert len(ended) == 2
