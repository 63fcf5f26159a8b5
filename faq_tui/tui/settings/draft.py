"""The edited settings before they are saved: what the person has typed, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.text import sanitize
from faq_tui.core.settings import Settings
from faq_tui.core.settings.catalog import SettingGroup, SettingKey, groups_of, shown_value, value_of_text
from faq_tui.core.settings.change import Change, KeyPath, with_changes
from faq_tui.core.settings.load import check_values, parse_toml
from faq_tui.tui.widgets.form import NOT_EDITED, Field

DEFAULT = "(default)"


@dataclass
class SettingsDraft:
    """The content of `faq.toml`, and the changes that are not saved yet."""

    path: Path
    text: str = ""
    raw: dict[str, Any] = field(default_factory=dict)
    groups: list[SettingGroup] = field(default_factory=list)
    typed: dict[KeyPath, Any] = field(default_factory=dict)  # the changed values as the form holds them
    settings: Settings | None = None  # the settings after the changes; None if they are invalid
    # maps the path of a key to its problem; the path is () if a problem concerns several keys
    problems: dict[KeyPath, str] = field(default_factory=dict)

    def read(self) -> bool:
        """Read the file. Drop each unsaved change that the file now contains. Returns True if values in the file have
        changed.

        If the file cannot be read or is not TOML, the draft stays as it is, and UsageError is raised.
        """
        try:
            text = self.path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise UsageError(f"cannot read {self.path}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
        raw = parse_toml(text, str(self.path))
        self.text = text
        if raw == self.raw and self.groups:
            return False
        self.raw, self.groups = raw, groups_of(raw)
        known = {key.path: key for group in self.groups for key in group.keys}
        self.typed = {
            path: value
            for path, value in self.typed.items()
            if path in known and value != initial_value(known[path], raw)
        }
        self.check()
        return True

    @property
    def keys(self) -> dict[KeyPath, SettingKey]:
        return {key.path: key for group in self.groups for key in group.keys}

    def type(self, key: SettingKey, value: Any) -> None:
        """Store the value that the form holds for the key."""
        if value == initial_value(key, self.raw):
            self.typed.pop(key.path, None)
        else:
            self.typed[key.path] = value

    def check(self) -> None:
        """Check all changes together, as the loader of the file would check them."""
        changes, self.problems = [], {}
        for key in (key for path, key in self.keys.items() if path in self.typed):
            try:
                changes.append(_change(key, self.typed[key.path]))
            except ValueError as error:
                self.problems[key.path] = f"`{key.label}`: {error}"
        try:
            self.settings, problems = check_values(with_changes(self.raw, changes), self.path.parent)
        except UsageError as error:
            self.settings, self.problems[()] = None, str(error)
            return
        for problem in problems:
            self.problems.setdefault(self._path_of(problem.location), problem.sentence)
        if self.problems:
            self.settings = None

    @property
    def changes(self) -> list[Change]:
        """The changes to save. Raises ValueError if a typed text cannot be read."""
        return [_change(key, self.typed[path]) for path, key in self.keys.items() if path in self.typed]

    @property
    def problem(self) -> str:
        """The first sentence about a refused value; "" if all values are valid."""
        return next(iter(self.problems.values()), "")

    def _path_of(self, location: tuple[int | str, ...]) -> KeyPath:
        """The path of the key in which the schema found a problem at `location`; () if no key contains `location`."""
        return next((path for path in self.keys if location[: len(path)] == path), ())


def _change(key: SettingKey, value: Any) -> Change:
    if value is None or key.kind in ("switch", "choice"):
        return key.change_to(value)
    return key.change_to(value_of_text(key, value))


def initial_value(key: SettingKey, raw: dict[str, Any]) -> Any:
    """The value of the file as a form holds it. A switch or choice that is not in the file has its default value."""
    value = shown_value(key, raw)
    if isinstance(value, str) and key.kind not in ("switch", "choice"):
        return sanitize(value)  # the form never shows control characters
    if value is not None or key.kind not in ("switch", "choice"):
        return value
    if key.kind == "switch":
        return key.default == "true"
    return next((one for one in key.choices if _is_default(key, one)), key.choices[0])


def _is_default(key: SettingKey, value: Any) -> bool:
    return value is None if not key.default else str(value) == key.default


def field_id(key: SettingKey) -> str:
    """The id of the key's widget in the form."""
    return "key-" + "-".join(key.inner)


def field_of(key: SettingKey, draft: SettingsDraft) -> Field:
    """The field of the form for the key. The field also shows the key's default value."""
    value = initial_value(key, draft.raw)
    edited = draft.typed.get(key.path, NOT_EDITED)
    if key.kind not in ("switch", "choice"):
        empty = "must be set" if key.required else f"{key.default} {DEFAULT}" if key.default else "not set"
        help_text = f"{key.help}. Default: {key.default}" if key.default else key.help
        return Field(field_id(key), value, "text", key.label, help_text, placeholder=empty, edited=edited)
    values: list[Any] = [False, True] if key.kind == "switch" else list(key.choices)
    if value not in values:
        values.append(value)  # a mistake in the file, which the check names
    choices = tuple((_label(key, one), one) for one in values)
    return Field(field_id(key), value, "choice", key.label, key.help, choices, edited=edited)


def _label(key: SettingKey, value: Any) -> str:
    words = (
        {True: "yes", False: "no", None: "not set"}[value]
        if value is None or value is True or value is False
        else value
    )
    default = (key.default == ("true" if value else "false")) if key.kind == "switch" else _is_default(key, value)
    return f"{words} {DEFAULT}" if default else sanitize(str(words))
