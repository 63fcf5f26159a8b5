"""Turn a conversation into a model's text and tokens, with the chat template and the model's marks of reasoning.

template.py      uses a tokenizer and its chat template to turn conversations into text, and text into token ids
dialects/        describes how each family of models marks reasoning
turns.py         writes turns in other ways, for templates that refuse or lose a system turn
render.py        turns a conversation into token ids, and checks that no text was lost
token_kinds.py   stores or finds the kind of each token: template, question, reasoning or answer
"""
