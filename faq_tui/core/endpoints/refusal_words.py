"""The words with which servers refuse a parameter of a request, or the value of a parameter."""

from __future__ import annotations

import re


def _any(*patterns: str) -> re.Pattern[str]:
    """A pattern that matches wherever one of `patterns` matches. Upper and lower case do not matter."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


# If a server refuses a parameter, the `code` or the `type` of its error often matches this pattern.
CODE_OF_REFUSAL = _any(
    "unsupported", "unknown", "unrecogni[sz]ed", "extra_?forbidden", "not_?supported", "additional"
)
REFUSES = _any(
    "unsupported",
    r"\bno(?:t|n)[ -](?:\w+ ){0,2}(?:support|permit|allow|accept|recogni[sz]e|available|implemented|compatible)",
    r"\bnot (?:\w+ )?(?:enabled|known|marked|a valid|in (?:the )?schema|one of)",
    r"\bnot be (?:used|set|specified|provided|passed|sent)",
    "n['o]t support",
    r"(?:does|do|did)(?: not|n't) (?:\w+ )?(?:accept|allow|exist|take|recogni[sz]e|know|have)",
    "unrecogni[sz]ed",
    "unknown",
    "unexpected",
    "extraneous",
    r"\bextra\b",
    "additional (?:propert|param|field|key)",
    "forbidden",
    "invalid (?:request )?(?:argument|param|field|property|key|option|name)",
    "unavailable",
    "no longer",
    "deprecated",
    "cannot (?:both )?(?:be )?(?:used|use|specif|set|combined|provided|passed|sent|find|understand)",
    "could not be mapped",
    "undefined",
    "illegal",
    "disallow",
    "no such",
    "must (?:not be|be (?:unset|omitted|absent|removed|null|none|empty|disabled|left))",
    r"\b(?:remove|omit)\b",
)
# The refusal says that the server accepts only one value of a parameter. For a request without this parameter, the
# server uses the same value.
FIXED_VALUE = _any(
    r"\bonly (?:the )?(?:default\b|value\b|\(?\d)",
    r"only supports? (?:the )?(?:default|\(?\d)",
    r"default \(?[\d.]*\)? ?value",
    r"must (?:be|equal)(?: set to| equal to| exactly)? [\d.]+(?![\d.]*\s*(?:and|to|or|-|<|≤))",
    "fixed",
)
# The refusal says that the server accepts the parameter, but not the value in the request.
OUT_OF_BOUNDS = _any(
    "must be (?!unset|omitted|absent|removed|null|none|empty|disabled|left|not )",
    "should be",
    "between",
    "at (?:most|least)",
    "(?:less|greater|larger|smaller|more|longer) than",
    r"\brange\b",
    "exceed",
    "maximum",
    "minimum",
    "too (?:large|high|small|low|long)",
    r"\s[<>≤≥]=?\s*-?\d",
    "out of",
)
NOT_BOTH = _any(r"\bboth\b", "together", "mutually exclusive", "only one of", "at the same time", "simultaneously")
# The refusal is about a number of tokens that is too large for the window or for the model.
ABOUT_ROOM = _any(
    "context", "max_model_len", "too (?:large|long|high)", "exceed", "greater than", "at most", "maximum"
)
# After these words, a refusal lists what the server accepts.
ACCEPTED_FOLLOW = re.compile(
    "(?:"
    r"\bexpected(?: one of)?\b|did you mean|must be one of|instead of|\bknown properties"
    r"|(?<!un)(?<!not )(?<!in)\b(?:allowed|supported|valid|known|permitted|accepted|available|possible|recogni[sz]ed)"
    r"\s+(?:\w+\s+)?(?:param(?:eter)?s?|fields?|values?|properties|keys?|arguments?|options?|names?|inputs?)\b"
    r"|\b(?:use|try)\s+['\"`]?[\w.]+['\"`]?\s+instead"
    ").*",
    re.IGNORECASE | re.DOTALL,
)
# This pattern finds the name that a server wants for the limit of tokens. The name is in a group of the pattern.
WANTED_LIMIT = _any(
    r"\b(?:use|set|specify|provide|send|pass|with|to|by|expects?|requires?|favou?r of)\W+(?:the\W+)?"
    r"(?:parameter\W+|field\W+)?(max_(?:completion_)?tokens)",
    r"(max_(?:completion_)?tokens)\W+(?:parameter\W+)?(?:instead|(?:is|should be|must be) (?:required|used))",
)
SENTENCE_END = re.compile(r"[.;!?](?:\s+|$)|\n(?!\s)|For further information visit \S*")
WORD = re.compile(r"[A-Za-z_$][\w.$\[\]-]*")
# If the text before a word ends with this pattern, the word is the name of a parameter.
NAME_FOLLOWS = re.compile(
    r"(?:param(?:eter)?s?|fields?|property|properties|arguments?|keys?|options?|names?|inputs?|supplied|keyword)"
    r"(?:\(s\))?[\s:=]*$",
    re.IGNORECASE,
)
