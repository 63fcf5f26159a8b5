"""Convert between Textual's names of keys and readable names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from faq_tui.tui.actions import Action

NAMES = {
    "question_mark": "?",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "slash": "/",
    "full_stop": ".",
    "comma": ",",
    "colon": ":",
    "semicolon": ";",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "asterisk": "*",
    "exclamation_mark": "!",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "number_sign": "#",
    "space": "space",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "page up",
    "pagedown": "page down",
    "escape": "esc",
}


def keys_of(action: Action, keymap: Mapping[str, str]) -> list[str]:
    """Textual's names of the keys for `action`, after the changes in `keymap`. The footer shows the first key."""
    return [key.strip() for key in keymap.get(action.id, action.keys).split(",") if key.strip()]


def first_key(actions: Iterable[Action], action_id: str, keymap: Mapping[str, str]) -> str:
    """Textual's name of the first key of the action with this id."""
    return keys_of(next(action for action in actions if action.id == action_id), keymap)[0]


def shown(key: str) -> str:
    """The readable name of a key: `ctrl+question_mark` becomes `ctrl+?`."""
    *modifiers, last = key.split("+")
    return "+".join([*modifiers, NAMES.get(last, last)])


def written(key: str) -> str:
    """Textual's name for a key in the config file: `?` becomes `question_mark`."""
    *modifiers, last = key.split("+") if key != "+" else ["+"]
    names = {sign: name for name, sign in NAMES.items()}
    return "+".join([*modifiers, names.get(last, last)])
