"""How a conversation becomes text and tokens of a model: chat template, reasoning, tokens.

template.py      a tokenizer with its chat template: conversations to text, text to token ids
dialects/        how families of models mark reasoning
render.py        a conversation to token ids, with a check that no text was lost
token_kinds.py   the kind of each token (template, question, reasoning or answer): recorded, or found in the text
"""
