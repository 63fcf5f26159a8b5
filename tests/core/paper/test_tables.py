"""The paper's numbers as package data."""

from __future__ import annotations

from faq_tui.core.paper.tables import AVERAGE, UNQUANTIZED, cells, of_recipes, same_name, select


def test_every_value_of_the_eleven_tables_is_there() -> None:
    found = cells()
    assert len(found) == 1051 and {cell.table for cell in found} == set(range(1, 12))
    assert {cell.calibration for cell in found} == {"baseline", "self", "elder", "teacher", "none"}
    assert all(cell.method == "-" for cell in found if cell.bits == UNQUANTIZED)
    places = [(c.table, c.model, c.bits, c.method, c.calibration, c.metric) for c in found]
    assert len(set(places)) == len(places)


def test_values_are_those_printed() -> None:
    (cell,) = select(table=1, bits="INT4", method="gptq", calibration="elder", metric="wikitext2_ppl")
    assert cell.value == 12.95 and not cell.higher_is_better
    (cell,) = select(1, "Qwen/Qwen3-8B", "BF16", metric="c4_ppl")
    assert cell.value == 36.37


def test_models_are_found_however_they_are_spelled() -> None:
    assert same_name("meta-llama/Llama-3.1-8B-Instruct", "Llama3.1-8B-Instruct")
    assert same_name("/models/Qwen3-8B/", "qwen3-8b") and not same_name("Qwen3-8B", "Qwen3-80B")


def test_recipes_find_their_rows_and_the_unquantized_ones() -> None:
    found = of_recipes("Qwen/Qwen3-8B", [("gptq", 4), ("w8a8", 8)])
    assert {(cell.bits, cell.method) for cell in found} == {
        ("BF16", "-"),
        ("INT4", "GPTQ"),
        ("w8a8", "w8a8-int8"),
    }
    assert AVERAGE not in {cell.bits for cell in found}
    assert of_recipes("SmolLM2-135M-Instruct", [("gptq", 4)]) == []
