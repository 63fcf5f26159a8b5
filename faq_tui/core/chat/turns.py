"""Write the turns of a conversation in other ways, for chat templates that refuse or lose a turn.

Some templates, for example that of Gemma 2, have no system role. Other templates require that turns of the user and
turns of the assistant alternate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

Message = dict[str, str]
BETWEEN = "\n\n"  # separates two texts that are joined into one turn


def other_turns(messages: Sequence[Mapping[str, str]]) -> Iterator[list[Message]]:
    """Variants of the conversation with the same texts in other turns. The variant with the fewest changes comes
    first.

    The first variant has no system turns. In the second variant, neighbouring turns always have different roles. The
    third variant has no system turns, and its neighbouring turns have different roles. A variant that equals the
    conversation or an earlier variant is left out.
    """
    plain = [dict(message) for message in messages]
    before = [plain]
    folded = with_system_folded(plain)
    for turns in (folded, with_neighbours_joined(plain), with_neighbours_joined(folded)):
        if turns not in before:
            before.append(turns)
            yield turns


def with_system_folded(messages: Sequence[Mapping[str, str]]) -> list[Message]:
    """Move the text of each system turn to the beginning of the user's next turn.

    If no turn of the user follows a system turn, the system turn stays.
    """
    last_user = max((i for i, message in enumerate(messages) if message["role"] == "user"), default=-1)
    turns, waiting = list[Message](), list[str]()
    for index, message in enumerate(messages):
        role, content = message["role"], message["content"]
        if role == "system" and index < last_user:
            waiting += [content] if content else []
            continue
        if role == "user" and waiting:
            content, waiting = BETWEEN.join([*waiting, content]), []
        turns.append({**message, "content": content})
    return turns


def with_neighbours_joined(messages: Sequence[Mapping[str, str]]) -> list[Message]:
    """Join neighbouring turns of the same role into one turn."""
    turns = list[Message]()
    for message in messages:
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1]["content"] = BETWEEN.join(text for text in (turns[-1]["content"], message["content"]) if text)
        else:
            turns.append(dict(message))
    return turns
