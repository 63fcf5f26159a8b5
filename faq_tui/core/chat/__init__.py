"""What a conversation looks like to a model: its chat template, its reasoning, its tokens.

template.py      a tokenizer with its chat template: conversations to text, text to token ids
dialects/        how families of models write reasoning
placeholders.py  placeholders that locate each text in the rendered template
render.py        a conversation to token ids, with the proof that nothing was lost
token_kinds.py   the kind of each token (template, question, reasoning or answer): recorded, or searched for
"""
