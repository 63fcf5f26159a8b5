"""The user's settings of the app: `config.toml` in the user's config folder."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platformdirs import user_config_path
from textual.keys import Keys

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.text import sanitize
from faq_tui.tui.actions import APP, Action
from faq_tui.tui.keys import keys_of, shown, written
from faq_tui.tui.registry import every_action
from faq_tui.tui.themes import theme_names

SWITCHES = ("low_bandwidth", "notices", "title")
NAMES = ("keys", "theme", *SWITCHES)
MODIFIERS = ("ctrl", "shift", "alt", "super", "hyper", "meta")


@dataclass(frozen=True)
class Config:
    keymap: dict[str, str] = field(default_factory=dict)  # maps an action's id to its keys, separated by commas
    theme: str | None = None
    low_bandwidth: bool = False
    notices: bool = True  # ring the bell and send a notice when a job ends
    title: bool = True  # show the run and its progress in the title of the terminal


def config_path() -> Path:
    return user_config_path("faq-tui") / "config.toml"


def load_config(path: Path) -> Config:
    """Read the settings.

    If there is no file, return the defaults. If the file has an unknown name, raise a UsageError that suggests the
    most similar valid name.
    """
    try:
        settings: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Config()
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not TOML, not UTF-8, or a number too long
        raise UsageError(f"{path} cannot be read: {sanitize(str(error))}") from None
    for name in settings:
        if name not in NAMES:
            raise UsageError(f"{path}: no setting {_quoted(name)}{_nearest(name, NAMES)}")
    theme = settings.get("theme")
    if theme is not None and theme not in theme_names():
        raise UsageError(f"{path}: no theme {_quoted(theme)}{_nearest(str(theme), theme_names())}")
    for name in SWITCHES:
        if not isinstance(settings.get(name, False), bool):
            raise UsageError(f"{path}: {name} must be true or false")
    if not isinstance(settings.get("keys", {}), dict):
        raise UsageError(f'{path}: keys must be a table, as in\n[keys]\n"judge.pick_1" = "a"')
    switches = {name: settings[name] for name in SWITCHES if name in settings}
    return Config(_keymap(path, settings.get("keys", {})), theme, **switches)


def _keymap(path: Path, table: dict[str, Any]) -> dict[str, str]:
    known = [action.id for action in every_action()]
    keymap: dict[str, str] = {}
    for name, keys in table.items():
        if name not in known:
            raise UsageError(f"{path}: no action {_quoted(name)}{_nearest(name, known)}")
        if not isinstance(keys, str) or not keys.strip():
            raise UsageError(f'{path}: the keys of {name} must be text, as in "{name}" = "a" or "a,ctrl+a"')
        keymap[name] = ",".join(_key(path, name, key.strip()) for key in keys.split(",") if key.strip())
    _no_clash(path, keymap)
    return keymap


def _key(path: Path, name: str, key: str) -> str:
    *modifiers, last = written(key).split("+")
    known = [key.value for key in Keys] + [written(sign) for sign in map(chr, range(33, 127))]
    if all(m in MODIFIERS for m in modifiers) and (len(last) == 1 or last in known):
        return written(key)
    raise UsageError(f"{path}: {name} has no key {_quoted(key)}{_nearest(last, known)}")


def _no_clash(path: Path, keymap: dict[str, str]) -> None:
    """Raise UsageError if two actions of one scope have the same key, because a key can start only one action."""
    taken: dict[tuple[str, str], str] = {}
    for action in every_action():
        for key in keys_of(action, keymap):
            if _is_spare(action, key, keymap):
                continue
            other = taken.setdefault((action.scope, key), action.id)
            if other != action.id and (action.id in keymap or other in keymap):
                where = "" if action.scope == APP else f" in {action.scope}"
                raise UsageError(f"{path}: {shown(key)} would start both {other} and {action.id}{where}")


def _is_spare(action: Action, key: str, keymap: dict[str, str]) -> bool:
    """True if `key` is a function key of the action, the user has given it to another action, and the action keeps
    other keys.

    Each pane has a function key as its second key. If the user gives this function key to another action, the
    function key no longer shows the pane.
    """
    mine = keys_of(action, {})
    users = {one.strip() for keys in keymap.values() for one in keys.split(",")}
    return action.id not in keymap and key in users and key.startswith("f") and key in mine[1:]


def _quoted(name: object) -> str:
    return f'"{sanitize(str(name), 80)}"'


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1, 0.4)
    return f'; did you mean "{near[0]}"?' if near else ""
