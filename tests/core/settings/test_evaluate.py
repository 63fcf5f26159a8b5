"""The lists of tasks are the paper's, and settings of benchmarks that cannot work say why."""

from __future__ import annotations

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.core.settings import parse_settings
from faq_tui.core.settings.evaluate import LISTS, expand, split_subset

HEAD = '[target]\nmodel = "m"\n[seeds]\npath = "starter"\n'


def test_lists_are_the_papers_and_lambada_is_run_once() -> None:
    assert len(LISTS["general12"][1]) == 12 and len(LISTS["special5"][1]) == 5 and len(LISTS["ppl3"][1]) == 3
    both = expand("lm_eval", ("ppl3", "general12", "mine"))
    assert len(both) == 15 and both.count("lambada_openai") == 1 and both[-1] == "mine"
    assert split_subset("live_code_bench:v6") == ("live_code_bench", "v6") and split_subset("aime24") == (
        "aime24",
        None,
    )


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (
            '[evaluate.lm_eval]\ntasks = ["special5"]',
            r"special5 has tasks of evalscope: move it to .evaluate\.evalscope",
        ),
        ('[evaluate.evalscope]\ntasks = ["ppl3"]', r"ppl3 has tasks of lm_eval: move it to .evaluate\.lm_eval"),
        ('[evaluate.lm_eval]\nmode = "endpoint"', 'mode "endpoint" needs the key `base_url`'),
        ('[evaluate.lm_eval]\nbase_url = "serve"', '`base_url` is only for mode "endpoint"'),
        ('[evaluate.evalscope]\nbase_url = "host:80"', "must begin with http"),
        ("[evaluate.serve]\ncommand = []", "evaluate.serve.command"),
        ("[evaluate.lm_eval]\nnum_fewshots = 5", "did you mean `num_fewshot`"),
    ],
)
def test_settings_that_cannot_work_say_why(toml: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_settings(HEAD + toml)
