"""Measure models on the machines of a cluster: first the unquantized target, then all others at the same time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import Stopped
from faq_tui.core.base.files import atomic_text
from faq_tui.core.cluster.node import PLACED
from faq_tui.core.cluster.pool import ClusterPool
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.item_texts import keep_words
from faq_tui.core.evaluation.plan import make_spec
from faq_tui.core.evaluation.spec import Spec
from faq_tui.core.models.target import TargetModel
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import StageProgress, StageStarted, UnitStarted
from faq_tui.core.stages.measured import STAGE, MeasurementListener
from faq_tui.core.stages.pools import needs_on, pool_for
from faq_tui.core.worker.parent import without_keys
from faq_tui.core.worker.pool import Ended


def measure_on_cluster(context: Context, target: TargetModel, tokenizer: Any, spec: Spec) -> int:
    """Make the missing measurements of `spec`. Returns the number of new measurements.

    Raises the error of the first model that cannot be measured, after all others are measured.
    """
    todo = spec.unmeasured()
    context.emit(StageStarted(STAGE, len(todo), "models", len(spec.subjects) - len(todo)))
    if not todo:
        return 0
    with pool_for(context) as pool:
        assert isinstance(pool, ClusterPool)
        work = _OnCluster(context, pool, MeasurementListener(context, spec, tokenizer), len(todo))
        if UNQUANTIZED in todo:
            work.measure(spec, [UNQUANTIZED])
            spec = make_spec(context, target, tokenizer)  # with the answers and measurements of the target
        if not work.failed:
            work.measure(spec, [subject for subject in todo if subject != UNQUANTIZED])
    keep_words(context.run, make_spec(context, target, tokenizer), tokenizer)
    for error in work.failed:
        raise error
    return work.listener.measured


class _OnCluster:
    """Gives models to a pool, and stores what comes back."""

    def __init__(self, context: Context, pool: ClusterPool, listener: MeasurementListener, total: int) -> None:
        self.context, self.pool, self.listener, self.total = context, pool, listener, total
        self.done = 0
        self.failed: list[BaseException] = []

    def measure(self, spec: Spec, subjects: list[str]) -> None:
        """Measure these models at the same time. Raises Stopped after a request to stop."""
        run, orders = self.context.run, list[Path]()
        try:
            for subject in subjects:
                orders.append(run.cache / f"evaluate-{subject}.json")
                with atomic_text(orders[-1]) as file:
                    json.dump(spec.only(subject).to_json(), file)
                needs = needs_on(self.pool, self.context, None, None)
                self.pool.start(subject, STAGE, {"order": str(orders[-1])}, without_keys(run.settings), needs)
            for _ in subjects:
                self._until_one_ends()
        finally:
            for order in orders:
                order.unlink(missing_ok=True)

    def _until_one_ends(self) -> None:
        while True:
            subject, what = self.pool.next()
            if isinstance(what, Ended):
                break
            if what["kind"] == PLACED:
                self.context.emit(UnitStarted(f"{STAGE}/{subject}", what["node"], what["attempt"]))
            elif what["kind"] not in ("plan", "progress"):  # models are counted here, not tokens
                self.listener(what)
        if isinstance(what.error, Stopped):
            raise what.error
        if what.error is not None:
            self.failed.append(what.error)
        self.done += 1
        self.context.emit(StageProgress(STAGE, self.done, self.total, subject))
