"""Hostile settings files (`faq.toml`): they are loaded, and `faq-tui status` and the plan of a run are computed.

python benchmarks/reliability/settings_files.py [--count 5000] [--seed 0] [--seconds 600] [--commands 40]
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from campaign import ROOT, code_of, first_failure, main, void
from mutations import TEXTS, as_toml, of_bytes, of_tree

from faq_tui.cli.status_tables import print_status
from faq_tui.core.base.errors import ExitCode
from faq_tui.core.family.check import check_sources
from faq_tui.core.judging.identity import outlines_of
from faq_tui.core.models.model_code import untrusted_code
from faq_tui.core.run.run import open_run
from faq_tui.core.run_plan import plan_of
from faq_tui.core.run_summary import summarise
from faq_tui.core.settings.write import demo_text
from faq_tui.core.stages.batch import check_before_batch
from faq_tui.core.status import status_of

NAME = "faq.toml"
LITERALS = (
    *("1e400", "nan", "-inf", "inf", "-0", "0x7fffffffffffffffffff", "1979-05-27T07:32:00Z", "07:32:00", "true"),
    *("[]", "{}", "[[]]", "[[[[1]]]]", "[" * 2000, '""', "'''", '"\\u0000"', '"\\uD800"', "1_0", "9" * 20),
    *("[1, 'a']", "{a = {b = {c = 1}}}", "9" * 5000, "", "= 1", '["a", ["b"], {c = 1}]', "[{}]", "[nan]", "-1"),
)
SMALL = """
[target]
model = "{model}"
[seeds]
path = "seeds.jsonl"
[sources.elder]
base_url = "http://127.0.0.1:9/v1"
model = "m"
price = {{ input = 0.4, output = 1.6 }}
sampling = {{ temperature = 0.6, top_p = 0.9, max_tokens = 256 }}
extra_headers = {{ X-Tenant = "a" }}
extra_body = {{ top_k = 20, chat_template_kwargs = {{ enable_thinking = true }} }}
[judge]
kind = "likelihood"
[[recipes]]
method = "gptq"
bits = [3, 4]
group_size = [32, 64]
"""


class SettingsFiles:
    def __init__(self, work: Path) -> None:
        self.run = work / "run"
        self.run.mkdir()
        (self.run / "seeds.jsonl").write_text('{"question": "q", "answer": "a"}\n')
        stored = (ROOT / "tests/fixtures/run-0ebf15d/faq.toml").read_text()
        self.texts = [stored, stored, SMALL.format(model="nobody/knows-it"), demo_text()]
        self.trees = [tomllib.loads(text) for text in self.texts]

    def make(self, dice: random.Random) -> dict[str, bytes]:
        at = dice.randrange(len(self.texts))
        kind = dice.randrange(4)
        if kind == 0:
            return {NAME: of_bytes(dice, self.texts[at].encode())}
        if kind == 1:
            lines = self.texts[at].splitlines()
            for _ in range(dice.choice((1, 1, 1, 3))):
                place = dice.randrange(len(lines))
                name, equals, _old = lines[place].partition(" = ")
                if equals:
                    lines[place] = f"{name} = {dice.choice(LITERALS)}"
                else:
                    lines.insert(place, dice.choice(("[a]", "[[a]]", "[preset]", "[target.x]", "x = 1", *lines)))
            return {NAME: "\n".join(lines).encode()}
        try:
            return {NAME: as_toml(of_tree(dice, self.trees[at], dice.choice((1, 1, 1, 3)), null=False))}
        except (RecursionError, AttributeError):
            return {NAME: dice.choice(TEXTS).encode("utf-8", "surrogatepass")}

    def attempt(self, files: Mapping[str, bytes]) -> ExitCode | None:
        for path in self.run.glob("faq.db*"):
            path.unlink()
        (self.run / NAME).write_bytes(files[NAME])
        summarise(self.run)
        with open_run(self.run) as run:
            return first_failure(
                lambda: print_status(status_of(run)),
                lambda: void(plan_of(run)),
                lambda: void(check_sources(run)),
                lambda: void(untrusted_code(run)),
                lambda: void([outlines_of(run, name) for name in run.settings.sources]),
                lambda: void(code_of(lambda: void(check_before_batch(run)))),  # always refused: no seed is stored yet
            )

    def command(self, files: Mapping[str, bytes], folder: Path) -> Sequence[str]:
        (folder / NAME).write_bytes(files[NAME])
        (folder / "seeds.jsonl").write_text('{"question": "q", "answer": "a"}\n')
        return ["status", str(folder)]


if __name__ == "__main__":
    main("Hostile settings files", "settings_files", SettingsFiles, 5000)
