"""How near a quantized model is to the unquantized one, on text that no calibration set holds.

answers.py         Held-out answers: what the unquantized target itself says to questions that no calibration set …
bootstrap.py       Paired bootstrap: how much of a number, or of a difference, is the luck of the held-out text and …
choices.py         Multiple-choice questions, answered by which choice the model finds the most likely
compare.py         Negative log-likelihood, KL divergence and top-1 agreement of every item, in bounded memory
described.py       Held-out texts in words, for reports
documents.py       Whole documents for word perplexity, cut and counted as lm_eval's task wikitext has it
environment.py     On what the measurements were made: `reports/evaluation.json`, so that the report can name it
heldout.py         One held-out text as it is measured: its items, and what its metrics need besides the model
identity.py        Who is measured on what, and the hashes that say whether that was done already
items.py           The items of a held-out text: what is measured one by one, and resampled by the bootstrap
kinds.py           What is measured on what: the kinds of held-out text, their names in a run, and their metrics
last_word.py       Passages whose last word is to be found, in LAMBADA's form (Paperno et al. 2016)
length.py          How many tokens a model reads at once
metrics.py         Metrics from the sums that each item brought
pairs.py           A context and what is to follow it, as one item
plan.py            The parent's side: from settings and store to the worker's order
pydoc_prose.py     English prose that every Python brings along: the language reference behind `help()`, without …
reading.py         Held-out files that a person names in `[evaluate]`: errors say which key, file and line
reference.py       The unquantized model's answer to every token, kept on disk: its last hidden states and its …
source_answers.py  Held-out answers of a source: what an elder says to questions that no calibration set holds
spec.py            The order of one evaluation, as it goes from the stage to the worker child through a file
student.py         Student's t distribution, for degrees of freedom that need not be whole
task.py            The worker child's task `evaluate`: one model after the other on all held-out texts
texts.py           Held-out prose by the name it has in `[evaluate]`
"""
