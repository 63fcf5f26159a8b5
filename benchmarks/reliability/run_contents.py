"""The content of a run's files and database, for the comparison of two runs.

Times, process ids and the row numbers of candidates are left out, because two undisturbed runs differ in them.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

# For each table, the columns that two undisturbed runs share. Candidates are named by their key instead of their id.
KEY = "(SELECT key FROM candidates c WHERE c.id = candidate_id)"
QUERIES = {
    "seeds": "SELECT id, position, messages, answer, role FROM seeds",
    "candidates": "SELECT key, seed_id, number, reasoning, answer, finish_reason, flags FROM candidates",
    "scores": f"SELECT {KEY}, judge, score, reason FROM scores",
    "judge_replies": "SELECT judge, unit, turn, attempt, raw, error FROM judge_replies",
    "picks": f"SELECT seed_id, source, action, {KEY}, picked_by, reason FROM picks",
    "sets": "SELECT name, ids_hash, samples, tokens FROM sets",
    "artefacts": "SELECT name, signature, set_name, samples, tokens, bits FROM artefacts",
    "activations": "SELECT set_name, signature, samples, tokens FROM activations",
    "heldout_answers": "SELECT seed_id, generation, answer_ids FROM heldout_answers",
    "measurements": "SELECT subject, text, signature, items FROM measurements",
    "layer_errors": "SELECT subject, signature, text, tokens, errors FROM layer_errors",
}
VARYING = {
    "seconds",
    "created",
    "started",
    "finished",
    "date",
    "generated",
    "measured",
    "duration_s",
    "job",
    "candidate_id",
}


def rows_of(folder: Path) -> dict[str, set[str]]:
    """The rows of each table, as text. Raises sqlite3.Error if the database cannot be read or is damaged."""
    path = folder / "faq.db"
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path)) as db:
        problem = db.execute("PRAGMA integrity_check").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return {
            name: {repr(tuple(row)) for row in db.execute(query)} for name, query in QUERIES.items() if name in tables
        }


def stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: stable(inner) for key, inner in value.items() if key not in VARYING}
    return [stable(inner) for inner in value] if isinstance(value, list) else value


def contents(folder: Path) -> dict[str, str]:
    """The hash of each part of a finished run."""
    found = {f"table {name}": digest(sorted(rows)) for name, rows in rows_of(folder).items()}
    for path in files_in(folder):
        name = str(path.relative_to(folder)).replace(str(folder), "RUN")
        if path.suffix == ".jsonl":
            found[name] = digest([stable(json.loads(line)) for line in path.read_text().splitlines()])
        elif path.name == "faq_manifest.json":
            manifest = json.loads(path.read_text())
            losses = [(one["layer"], one["module"], one["loss"], one["samples"]) for one in manifest["losses"]]
            found[name] = digest([manifest["average_bits"], losses])
        elif path.name == "report.json":
            found[name] = digest(stable(json.loads(path.read_text())))
        elif path.suffix not in (".md", ".html"):  # these show the same figures as report.json, and a time
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def files_in(folder: Path) -> Iterator[Path]:
    for part in ("calibration", "token_kinds", "activations", "models", "reports"):
        yield from (path for path in sorted((folder / part).rglob("*")) if path.is_file())


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
