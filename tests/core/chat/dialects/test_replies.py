"""Replies as servers send them: without opening tags, without special tokens, in other tags, with tags around."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from faq_tui.core.chat.dialects import split_reasoning, split_reply
from faq_tui.core.chat.dialects.replies import END_TOKENS

WHY, SO = "Ten and ten are twenty.", "It is 20."
ANALYSIS, FINAL = "<|channel|>analysis<|message|>", "<|start|>assistant<|channel|>final<|message|>"


@pytest.mark.parametrize(
    "text",
    [
        # harmony
        f"<|start|>assistant{ANALYSIS}{WHY}<|end|>{FINAL}{SO}<|return|>",
        f"{ANALYSIS}{WHY}<|end|>{FINAL}{SO}<|end|><|start|>assistant",
        f"{ANALYSIS}{WHY}<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>{SO}",
        f"analysis{WHY}assistantfinal{SO}",
        f"assistantanalysis{WHY}assistantfinal\n{SO}",
        # without the opening tag, which is in the prompt
        *(
            f"{WHY}{close}{SO}"
            for close in ("</seed:think>", "[/THINK]", "</mm:think>", "◁/think▷", "<|END_THINKING|>")
        ),
        *(
            f"{WHY}\n{close}\n\n{SO}"
            for close in ("</think>", "</reasoning>", "</thought>", "<|/thinking|>", "<channel|>")
        ),
        # tags that no dialect names
        *(f"<{name}>\n{WHY}\n</{name}>\n\n{SO}" for name in ("reasoning", "thought", "scratchpad", "longcat_think")),
        *(
            f"<{name}>{WHY}</{name}>{SO}"
            for name in (
                *("Think", "THOUGHTS", "ernie:think", "analysis", "inner_monologue"),
                *("reasoning_scratch", "thinking-steps", "my_planning", "brainstorming", "thought_section"),
            )
        ),
        *(f"[{name}]{WHY}[/{name}]{SO}" for name in ("REASONING", "THOUGHT")),
        f'<thinking effort="high">{WHY}</thinking>{SO}',
        f"<|begin_of_thought|>{WHY}<|end_of_thought|>\n\n<|begin_of_solution|>{SO}<|end_of_solution|>",
        f"<|thought_start|>{WHY}<|thought_end|>{SO}",
        f"<|inner_prefix|>{WHY}<|inner_suffix|>{SO}",
        f"<|thinking|>{WHY}<|/thinking|>{SO}",
        f"<|reasoning|>{WHY}</|reasoning|>{SO}",
        f"◁reasoning▷{WHY}◁/reasoning▷{SO}",
        f"Here is my thought process:\n{WHY}\n\nHere is my response:\n{SO}",
        # tags around the answer
        f"<think>{WHY}</think>\n<answer>\n{SO}\n</answer>",
        f"<think>{WHY}</think><final_answer>{SO}",
        f"<|START_THINKING|>{WHY}<|END_THINKING|><|START_RESPONSE|>{SO}<|END_RESPONSE|>",
        f"<reasoning>{WHY}</reasoning><response>{SO}</response><|im_end|>",
    ],
)
def test_reasoning_and_answer(text: str) -> None:
    assert split_reply(text) == split_reply(f"\n {text}\n") == (WHY, SO, True)


def test_every_channel_before_the_answer_is_reasoning() -> None:
    text = f"{ANALYSIS}{WHY}<|end|><|start|>assistant<|channel|>commentary<|message|>I add.<|end|>{FINAL}{SO}"
    assert split_reply(text) == (f"{WHY}\n\nI add.", SO, True)
    bare = f"analysis{WHY}assistantcommentaryI add.assistantfinal{SO}"
    assert split_reply(bare) == (f"{WHY}\n\nI add.", SO, True)
    assert split_reply(f"<|channel|>final<|message|>{SO}") == ("", SO, True)


@pytest.mark.parametrize(
    "text",
    [
        *(f"{ANALYSIS}{WHY}", f"analysis{WHY}", f"{ANALYSIS}{WHY}<|end|><|start|>assistant<|channel|>commentary"),
        *(
            f"<{name}>{WHY}\n\n{SO}"
            for name in ("reasoning", "thought", "mm:think", "|begin_of_thought|", "scratchpad")
        ),
        f"[REASONING]{WHY}",
        f"thought\n{WHY} {SO}",
        f"Here is my thought process:\n{WHY}\n\n{SO}",
    ],
)
def test_reasoning_without_an_end_is_no_answer(text: str) -> None:
    assert split_reply(text)[1:] == ("", False)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "analysis of it",
            "Analysis: it is 20.",
            "[Analysis](http://a.b) says so.",
            "[1] It is 20.",
            "[YES] It is.",
        ),
        *("<p>It is 20.</p>", "<answer>20</answer>", "<ReasonList items={[1]} />", "<T>(x: T) => x", "<thought/>"),
        *("Write `</thinking>` at its end.", "Use <thinking> and </thinking>\nfor it.", 'End with "</seed:think>".'),
        *("thought is free", "final answer: 20", "It is the assistantfinal channel."),
    ],
)
def test_an_answer_that_looks_a_little_like_it_is_an_answer(text: str) -> None:
    assert split_reply(text) == ("", text, True)


@pytest.mark.parametrize("token", END_TOKENS)
def test_end_tokens_at_the_end_are_left_out(token: str) -> None:
    assert split_reply(f"{SO}{token}") == ("", SO, True)
    assert split_reply(f"<think>{WHY}</think>{SO}\n{token} {token}\n") == (WHY, SO, True)
    assert token in split_reply(f"{token} ends a turn.")[1], "not in the text"


WORDS = st.lists(st.sampled_from(["a", " ", "\n", "ü", "1", ".", "x/y", "&"]), max_size=12).map("".join)


@given(WORDS, WORDS, st.sampled_from(["think", "seed:think", "reasoning", "thought", "mm:think", "my_think"]))
def test_what_is_between_the_tags_is_kept(why: str, so: str, name: str) -> None:
    assert split_reply(f"<{name}>{why}</{name}>{so}") == (why.strip(), so.strip(), True)


TAGS = [
    "<think>",
    "</think>",
    "[THINK]",
    "analysis",
    "assistantfinal",
    "<|channel|>",
    "<|message|>",
    "<answer>",
    "</s>",
]


@given(
    st.lists(st.sampled_from([*TAGS, "</answer>", "<|end|>", "thought\n", "a ", "◁/think▷", "<x:think "])).map(
        "".join
    )
)
@example("analysis[THINK]<|channel|>")  # a word of a channel and a token of a channel, but no channel
def test_any_text_can_be_split(text: str) -> None:
    reasoning, answer, _ = split_reply(text)
    assert (reasoning, answer) == (reasoning.strip(), answer.strip())
    assert len(reasoning) + len(answer) <= len(text) + 2 * text.count("assistant")


@given(st.text())
def test_a_text_without_brackets_is_all_answer(text: str) -> None:
    plain = "x" + "".join(one for one in text if one not in "<[◁")
    assert split_reply(plain) == split_reasoning(plain)
