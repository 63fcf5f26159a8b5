"""Turn a conversation into text and tokens, with the model's chat template and its reasoning tags.

`template.py` turns conversations into text with the chat template, and text into token ids with the tokenizer.
`dialects/` describes how each family of models marks reasoning.
`turns.py` writes turns in other ways if a template refuses or loses a system turn.
`render.py` turns a conversation into token ids, and checks that no text was lost.
`token_kinds.py` stores or finds the kind of each token: template, question, reasoning or answer.
"""
