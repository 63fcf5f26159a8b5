"""What a conversation looks like to a model: its chat template, its reasoning, its tokens.

template.py      a tokenizer with its chat template: conversations to text, text to token ids
dialects/        how families of models write reasoning down
placeholders.py  placeholders that show where the rendered template puts each text
render.py        a conversation to token ids, with the proof that nothing was lost
token_kinds.py   what each token is: template, question, reasoning or answer
kinds_search.py  the same for calibration sets from before kinds were recorded
"""
