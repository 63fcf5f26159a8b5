"""Answer the questions of selection.py: one table for each question, from the results of all calls.

    python benchmarks/selection_questions.py RESULTS.jsonl

A change is the mean of the paired changes of the KL, draw by draw, with a 95% interval over the draws (Student's t).
Each table has the number of draws, because a plan may have ended before its last draw.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import table
from selection_table import Cell, Change, read_results

Results = Mapping[Cell, Mapping[str, Any]]
Draws = dict[int, float]  # maps a draw to a KL

SOLVERS = (
    ("gptq", 4, "GPTQ, default of 0.1 (damping 0.05, no search)"),
    ("gptq_unordered", 4, "GPTQ, columns in the order of the matrix"),
    ("gptq_mse", 4, "GPTQ, search"),
    ("gptq_mse_damp0.01", 4, "GPTQ, search, damping 0.01 (the default now)"),
    ("gptaq", 4, "GPTAQ, no search"),
    ("gptaq_mse", 4, "GPTAQ, search (the default now)"),
    ("spqr", 4, "SpQR"),
    ("w8a8", 8, "W8A8"),
    ("gptq", 3, "GPTQ, 3 bits, no search"),
    ("gptaq", 3, "GPTAQ, 3 bits, no search"),
    ("spqr", 3, "SpQR, 3 bits"),
    ("gptq", 8, "GPTQ, 8 bits, no search"),
    ("spqr", 8, "SpQR, 8 bits"),
)
OPTIONS = (
    ("gptq_unordered", "columns in the order of the matrix"),
    ("gptq_desc", "desc_act = true"),
    ("gptq_damp0.01", "damp_percent = 0.01"),
    ("gptq_mse", "scale_search = true"),
    ("gptq_mse_desc", "scale_search = true, desc_act = true"),
    ("gptq_mse_damp0.01", "scale_search = true, damp_percent = 0.01"),
    ("gptaq", "GPTAQ"),
    ("gptaq_mse", "GPTAQ, scale_search = true"),
)
LENGTHS = (
    ("self-32", "answers cut to 32 tokens"),
    ("self-128", "answers cut to 128"),
    ("self-256", "answers cut to 256"),
    ("self", "whole answers, greedy"),
    ("t0.7", "whole answers, temperature 0.7"),
    ("t1.0", "whole answers, temperature 1.0"),
    ("prose20", "cut to 64, with 20% prose"),
    ("prose50", "cut to 64, with 50% prose"),
    ("prose", "prose alone"),
    ("own-questions", "cut to 64, questions by the model"),
)
PICKS = (("best", "the pick of the likelihood judge"), ("all-three", "all three candidates, of fewer questions"))
CHOICES = (("centroids", 'select = "centroid"'), ("entropy", 'select = "entropy"'))
BUDGETS = (4_000, 16_000, 64_000)
SHARES = ("0.01", "0.02", "0.03", "0.05", "0.07", "0.1")
WEIGHTS = ("template=2", "template=0", "question=0.5", "question=0", "answer=2")
SETS = ("seeds", "self", "self-64")
TEXTS = ("chat", "prose")
AGAINST_SEEDS = (
    *("draws", "KL, plain seeds", "KL, answers cut to 64"),
    *("answers cut to 64, chat", "whole answers, chat", "answers cut to 64, prose"),
)
TITLES = {"seeds": "plain seeds", "self": "whole answers", "self-64": "answers cut to 64"}


class Answers:
    """The KLs of the results, and their changes. Without other values, a set has 16,000 tokens."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def kl(
        self, method: str, name: str, text: str = "chat", weights: str = "off", bits: int = 4, budget: int = 16_000
    ) -> Draws:
        wanted = method, bits, name, weights, budget
        return {
            cell.draw: body[text]
            for cell, body in self._results.items()
            if (cell.method, cell.bits, cell.set, cell.weights, cell.budget) == wanted and text in body
        }

    def methods(self) -> str:
        rows = [[title, *self._against_seeds(method, bits)] for method, bits, title in SOLVERS]
        return table(["method", *AGAINST_SEEDS], [row for row in rows if measured(row)])

    def _against_seeds(self, method: str, bits: int, budget: int = 16_000) -> list[str]:
        """The cells of a row, in the columns AGAINST_SEEDS."""
        seeds, cut, whole = (self.kl(method, name, bits=bits, budget=budget) for name in ("seeds", "self-64", "self"))
        prose = [self.kl(method, name, "prose", bits=bits, budget=budget) for name in ("self-64", "seeds")]
        kls = [mean(seeds), mean(cut)]
        return [drawn(cut, seeds), *kls, change(cut, seeds), change(whole, seeds), change(*prose)]

    def options(self) -> str:
        rows = []
        for method, title in OPTIONS:
            cells = [(self.kl(method, s, t), self.kl("gptq", s, t)) for s in ("seeds", "self-64") for t in TEXTS]
            rows.append(compared(title, cells))
        columns = [f"{name}, {text}" for name in ("plain seeds", "answers") for text in TEXTS]
        return table(["instead of the old default", "draws", *columns], [row for row in rows if measured(row)])

    def shares(self) -> str:
        rows = []
        for method, bits, title in SOLVERS:
            for share in SHARES:
                pairs = self._with_share(method, bits, share, "chat")
                prose = self._with_share(method, bits, share, "prose")
                rows.append([title, share, *(change(*one) for one in (*pairs, *prose))])
        of_sets = [f"{TITLES[one]}, {text}" for text in TEXTS for one in SETS]
        return table(["method", "sink_share", *of_sets], [row for row in rows if measured(row)])

    def _with_share(self, method: str, bits: int, share: str, text: str) -> list[tuple[Draws, Draws]]:
        """The KLs of each set with this share of the first tokens, and without weights."""
        return [
            (self.kl(method, one, text, weights=share, bits=bits), self.kl(method, one, text, bits=bits))
            for one in SETS
        ]

    def share_by_method(self) -> str:
        rows = []
        for method, bits, title in SOLVERS:
            pairs = self._with_share(method, bits, "0.03", "chat")
            rows.append([title, " / ".join(drawn(*one) for one in pairs), *(change(*one) for one in pairs)])
        names = [TITLES[one] for one in SETS]
        return table(["sink_share = 0.03", "draws", *names], [row for row in rows if measured(row)])

    def sets(self, title: str, base: str, names: tuple[tuple[str, str], ...], budget: int = 16_000) -> str:
        rows = []
        for name, words in names:
            pairs = [
                (self.kl("gptq", name, text, budget=budget), self.kl("gptq", base, text, budget=budget))
                for text in TEXTS
            ]
            rows.append(compared(words, pairs))
        return table([title, "draws", *TEXTS], [row for row in rows if measured(row)])

    def budgets(self) -> str:
        rows = [
            [title, f"{budget:,}", *self._against_seeds(method, bits, budget)]
            for method, bits, title in SOLVERS
            if self.kl(method, "seeds", bits=bits, budget=BUDGETS[0])
            for budget in BUDGETS
        ]
        return table(["method", "tokens", *AGAINST_SEEDS], rows)

    def weights(self) -> str:
        rows = []
        for one in WEIGHTS:
            pairs = [(self.kl("gptq", "self-64", t, f"off+{one}"), self.kl("gptq", "self-64", t)) for t in TEXTS]
            rows.append(compared(one.replace("=", " = "), pairs))
        return table(["token_weights", "draws", *TEXTS], [row for row in rows if measured(row)])


def mean(found: Draws) -> str:
    return f"{statistics.fmean(found.values()):.4f}" if found else "–"


def drawn(ours: Draws, theirs: Draws) -> str:
    return str(len(ours.keys() & theirs.keys()))


def change(ours: Draws, theirs: Draws) -> str:
    return str(Change.of(ours, theirs) or "–").replace("-", "−")


def measured(row: Sequence[str]) -> bool:
    """Whether any change of the row was measured."""
    return any("%" in cell for cell in row[1:])


def compared(title: str, pairs: Sequence[tuple[Draws, Draws]]) -> list[str]:
    """A row of a table: the title, the number of draws of the first pair, and the change of each pair."""
    return [title, drawn(*pairs[0]), *(change(*pair) for pair in pairs)]


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    answers = Answers(read_results(Path(sys.argv[1])))
    parts = {
        "Change of the KL against plain seeds": answers.methods(),
        "Change of the KL against GPTQ with the old default, on the same set": answers.options(),
        "A larger share of the first tokens, against the same set without weights": answers.shares(),
        "A share of 0.03 with all methods": answers.share_by_method(),
        "Length, temperature, prose": answers.sets("set, against answers cut to 64 tokens", "self-64", LENGTHS),
        "The judge's pick": answers.sets("against a random candidate", "random", PICKS),
        "Selections": answers.sets("4,000 tokens, against a random order", "pool", CHOICES, budget=4000),
        "Weights of kinds of tokens": answers.weights(),
        "Other numbers of tokens, against plain seeds": answers.budgets(),
    }
    # A table without rows has two lines.
    filled = {title: body for title, body in parts.items() if body.count("\n") > 1}
    print("\n\n".join(f"## {title}\n\n{body}" for title, body in filled.items()))


if __name__ == "__main__":
    main()
