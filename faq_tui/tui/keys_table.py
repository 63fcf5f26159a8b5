"""The table of keys in docs/keys.md, from the registry: `python -m faq_tui.tui.keys_table` prints it."""

from __future__ import annotations

from faq_tui.tui.keys import keys_of, shown
from faq_tui.tui.registry import registry

TITLES = {
    "app": "everywhere",
    "seeds": "Seeds",
    "regenerate": "Regenerate",
    "judge": "Judge",
    "spikes": "Spikes",
    "quantize": "Quantize",
    "evidence": "Evidence",
}


def table() -> str:
    """Markdown, a row an action."""
    lines = ["| where | key | does |", "|---|---|---|"]
    for action in registry():
        keys = " ".join(f"`{shown(key)}`" for key in keys_of(action, {}))
        lines.append(f"| {TITLES[action.scope]} | {keys} | {action.help} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
