"""What is read from the target's own card, which anyone may have written."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.model_card.front_matter import MOST_BYTES
from faq_tui.core.model_card.licence import UNKNOWN, Licence
from faq_tui.core.model_card.target_card import TargetCard, target_card
from tests.support.made_up import TOML, made_up_run


def card_with(tmp_path: Path, front_matter: str, **files: str) -> TargetCard:
    with made_up_run(tmp_path / "run") as run:
        (run.folder / "target" / "README.md").write_text(front_matter, encoding="utf-8")
        for name, text in files.items():
            (run.folder / "target" / name).write_text(text)
        return target_card(run)


def test_licence_languages_and_task_are_those_of_the_card(tmp_path: Path) -> None:
    card = "---\nlicense: MIT\nlanguage:\n- en\n- no\npipeline_tag: image-text-to-text\n---\n# Model\n"
    assert card_with(tmp_path, card) == TargetCard("target", None, Licence("mit"), ("en", "no"), "image-text-to-text")


@pytest.mark.parametrize(
    ("front_matter", "licence"),
    [
        ("license: other\nlicense_name: l\nlicense_link: https://x.y/l", Licence("other", "l", "https://x.y/l")),
        ("license: other", Licence("other")),
        ("license: unknown", UNKNOWN),
        ("license: [mit, apache-2.0]", UNKNOWN),
        ("license: [mit]", Licence("mit")),
        ("license: 'mit)](javascript:alert(1))'", UNKNOWN),
        ("license: mit\nlicense_link: javascript:alert(1)", Licence("mit")),
        ("license: mit\nlicense_name: \"a\\e[31m\"", Licence("mit", "a\ufffd[31m")),
        ("license: {a: b}", UNKNOWN),
        ("license: !!python/object/apply:os.system [ls]", Licence("ls")),  # a list of texts; nothing is run
        ("license: &a mit\nlanguage: *a", Licence("mit")),
        ("license: *nothing", UNKNOWN),
        ("[" * 5000, UNKNOWN),
        ("- license", UNKNOWN),
    ],
)  # fmt: skip
def test_odd_cards(tmp_path: Path, front_matter: str, licence: Licence) -> None:
    assert card_with(tmp_path, f"---\n{front_matter}\n---\n").licence == licence


def test_a_front_matter_without_an_end_or_of_great_length_is_not_read(tmp_path: Path) -> None:
    assert card_with(tmp_path / "a", "---\nlicense: mit\n").licence == UNKNOWN
    assert card_with(tmp_path / "b", f"---\n#{'x' * MOST_BYTES}\nlicense: mit\n---\n").licence == UNKNOWN
    assert card_with(tmp_path / "c", "").licence == UNKNOWN


def test_merge_keys_cannot_blow_the_card_up(tmp_path: Path) -> None:
    """Each line doubles the one before, so 60 lines would make 10^18 keys in a loader that merges."""
    lines = ["a0: &a0 {x: y}", *(f"a{n}: &a{n}\n  <<: [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))]
    assert card_with(tmp_path, "---\nlicense: mit\n" + "\n".join(lines) + "\n---\n").licence == Licence("mit")


def test_the_licence_file_speaks_where_the_card_does_not(tmp_path: Path) -> None:
    apache = "                                 Apache License\n                           Version 2.0, January 2004\n"
    assert card_with(tmp_path / "a", "", LICENSE=apache).licence == Licence("apache-2.0")
    assert card_with(tmp_path / "b", "", **{"LICENSE.txt": "Ours\n"}).licence == Licence("other", None, "LICENSE.txt")
    assert card_with(tmp_path / "c", "---\nlicense: mit\n---\n", LICENSE=apache).licence == Licence("mit")


def test_a_folder_of_the_hubs_cache_has_its_hub_id(tmp_path: Path) -> None:
    folder = tmp_path / "models--Some-Org--A.Model-8B" / "snapshots" / "0123"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    with made_up_run(tmp_path / "run", TOML.replace("./target", str(folder))) as run:
        assert target_card(run).hub_id == target_card(run).name == "Some-Org/A.Model-8B"


def test_the_embedded_model_and_a_target_that_is_gone(tmp_path: Path) -> None:
    with made_up_run(tmp_path / "a", TOML.replace("./target", "embedded")) as run:
        assert target_card(run).hub_id == "HuggingFaceTB/SmolLM2-135M-Instruct"
        assert target_card(run).licence == Licence("apache-2.0")
    with made_up_run(tmp_path / "b", TOML.replace("./target", "/gone/my model")) as run:
        assert target_card(run) == TargetCard("my model")
