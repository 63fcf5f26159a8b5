"""The recipe that `faq-tui init` writes, with every key of every quantization method in a comment."""

from __future__ import annotations

from faq_tui.core.extensions import METHODS
from faq_tui.core.settings.comments import head_text, toml_value, with_comment
from faq_tui.core.settings.recipe import DEFAULT_METHOD, model_of
from faq_tui.core.settings.schema import Settings


def recipe_text(group_size: str) -> str:
    """`group_size` is the value, and perhaps a comment, that suits the target."""
    model = model_of(DEFAULT_METHOD)
    bits = model.model_fields["bits"].default
    return "".join(
        [
            head_text("[[recipes]]", Settings.model_fields["recipes"]),
            with_comment(f'method = "{DEFAULT_METHOD}"', " | ".join(METHODS.names())),
            with_comment(f"bits = {bits}", _bits()),
            f"group_size = {group_size}\n",
            with_comment('# preset = "paper"', f"left out: none. {' | '.join(_presets())}"),
            with_comment('# sets = ["baseline", "elder"]', "left out: every set of the run"),
            "# Left out, each of these is the default of the recipe's method:\n",
            *_own_keys(),
        ]
    )


def _own_keys() -> list[str]:
    methods_of: dict[str, list[str]] = {}
    for name in METHODS.names():
        for key in model_of(name).own_keys():
            if len(model_of(name).choices(key)) != 1:
                methods_of.setdefault(key, []).append(name)
    lines = []
    for key, methods in methods_of.items():
        model = model_of(methods[0])
        value = toml_value(model.model_fields[key].default)
        lines.append(with_comment(f"# {key} = {value}", f"{', '.join(methods)}: {model.describe(key)}"))
    return lines


def _presets() -> list[str]:
    return list(dict.fromkeys(preset for name in METHODS.names() for preset in model_of(name).presets))


def _bits() -> str:
    """Every width, with the method in brackets where only one has it."""
    methods_of: dict[int, list[str]] = {}
    for name in METHODS.names():
        for bits in model_of(name).choices("bits"):
            methods_of.setdefault(bits, []).append(name)
    only = {bits: f" ({methods[0]})" if len(methods) == 1 else "" for bits, methods in methods_of.items()}
    return " | ".join(f"{bits}{only[bits]}" for bits in sorted(methods_of))
