"""How near a quantized model is to the unquantized one, on text that no calibration set holds.

What is measured:
kinds.py           the kinds of held-out text, and their names in a run
metrics.py         the metrics: names, formulas, directions, and how values are written
heldout.py         one held-out text as it is measured: its items, and what its metrics need besides the model
texts.py           held-out prose and files by their names in `[evaluate]`, and what they are in words
documents.py       whole documents for word perplexity, cut and counted as lm_eval does
labelled.py        multiple-choice questions, and passages whose last word is to be found
source_answers.py  held-out answers of a source
item_texts.py      what a person reads of each item, token by token
identity.py        who is measured on what, and the hashes that say whether that was done already

How it is measured:
plan.py            the parent's side: from settings and store to the worker's order
spec.py            that order, as it goes to the worker child through a file
task.py            the worker child's task `evaluate`: one model after the other on all held-out texts
answers.py         the unquantized target's own answers to held-out questions
compare.py         log-likelihood, KL divergence, top-1 agreement and other metrics' columns of every item
reference.py       the unquantized model's last hidden states, kept on disk for the comparison
token_kl.py        every token's KL divergence, packed for the store
environment.py     on what the measurements were made
"""
