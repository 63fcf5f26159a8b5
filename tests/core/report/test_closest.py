"""The closest model of each recipe, and the command that serves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.report.document import document
from tests.support.made_up import made_up_run, measure_all

KLS = {"baseline": 0.30, "elder": 0.20}


@pytest.mark.parametrize("config", [None, "", "[]", '{"quantization_config": {"quant_method": "gptq"}}'])
def test_a_folder_that_has_lost_its_config_has_no_command(tmp_path: Path, config: str | None) -> None:
    with made_up_run(tmp_path) as run:
        measure_all(run, KLS)
        [one] = document(run)["closest"]
        assert one["models"] == 2 and not one["serve"]
        folder = run.models / one["model"]
        folder.mkdir(parents=True)
        if config is not None:
            (folder / "config.json").write_text(config)
        [one] = document(run)["closest"]
    assert bool(one["serve"]) == ("gptq" in (config or ""))
