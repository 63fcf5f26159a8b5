"""The golden templates on the embedded model's tokenizer, and the conversations they are tried on."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

from faq_tui.core.chat.render import Rendered
from faq_tui.core.chat.template import Template
from faq_tui.core.embedded import EmbeddedModel
from tests.support.paths import FIXTURES

GOLDEN = FIXTURES / "templates"
NAMES = tuple(sorted(path.stem for path in GOLDEN.glob("*.jinja")))

DEEPSEEK = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"]
LLAMA = ["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"]
GPT_OSS = ["<|startoftext|>", "<|return|>", "<|start|>", "<|end|>", "<|message|>", "<|channel|>"]
MAGISTRAL = ["<s>", "</s>", "[INST]", "[/INST]", "[THINK]", "[/THINK]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"]
# bos, eos, then the others; all else is ChatML
SPECIALS = {"deepseek": DEEPSEEK, "gpt_oss": GPT_OSS, "llama": LLAMA, "magistral": MAGISTRAL}
THINK_TAGS = ("qwen3", "deepseek")  # vocabularies that hold them, whether the model thinks or not

ENDS = {
    name: next((marks[1] for family, marks in SPECIALS.items() if name.startswith(family)), "<|im_end|>")
    for name in NAMES
}
WAYS = {
    "chatml": "inline",
    "deepseek_r1_0528_qwen3_8b": "generation_prompt",
    "deepseek_r1_distill": "generation_prompt",
    "gpt_oss": "template",
    "llama3_1": "inline",
    "magistral": "template",
    "qwen2_5": "inline",
    "qwen3": "template",
    "qwen3_instruct_2507": "inline",
    "smollm2": "inline",
}
# What stands before the reasoning, and between it and the answer, of those that think.
AROUND = {
    "gpt_oss": ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    "magistral": ("[THINK]", "[/THINK]"),
} | dict.fromkeys(["qwen3", "deepseek_r1_distill", "deepseek_r1_0528_qwen3_8b"], ("<think>\n", "\n</think>\n\n"))

QUESTION = [{"role": "user", "content": "Hi"}]  # short: nothing may depend on how much stands before
CHAIN = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "First?"},
    {"role": "assistant", "content": "One."},
    {"role": "user", "content": "And then, what comes after the first of the two?"},
]
REASONING = "The first is one.\n\nSo the next: 1 + 1 = 2, as in `f(x) = x + 1`."
ANSWER = "**Two.**\n\nSee above: \\(1 + 1 = 2\\) — voilà."


@cache
def golden_templates(model: EmbeddedModel) -> dict[str, Template]:
    """The templates, made once in each test process. Tests must not change them."""
    from transformers import AutoTokenizer

    made, plain = {}, AutoTokenizer.from_pretrained(model.folder)
    for name in NAMES:
        tokenizer = deepcopy(plain)
        for family, marks in SPECIALS.items():
            if name.startswith(family):
                tokenizer.add_tokens(marks, special_tokens=True)
                tokenizer.bos_token, tokenizer.eos_token = marks[:2]
        if name.startswith(THINK_TAGS):
            tokenizer.add_tokens(["<think>", "</think>"], special_tokens=False)
        tokenizer.chat_template = (GOLDEN / f"{name}.jinja").read_text(encoding="utf-8")
        made[name] = Template(tokenizer)
    return made


def proven(template: Template, rendered: Rendered, reasoning: str, answer: str) -> str:
    """The sample's text, after checking that reasoning and answer stand whole where the spans say."""
    text = template.decode(rendered.ids)
    (first, last), (start, end) = rendered.reasoning, rendered.answer
    assert answer in template.decode(rendered.ids[start:end])
    if reasoning:
        assert reasoning in template.decode(rendered.ids[first:last]) and last <= start
        assert text.index(reasoning) < text.rindex(answer)
    else:
        assert (first, last) == (0, 0)
    return text
