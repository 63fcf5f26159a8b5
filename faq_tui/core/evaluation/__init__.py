"""Measure how close a quantized model is to the unquantized one, on text that is in no calibration set.

What is measured:
kinds.py           the kinds of held-out text, and their names in a run
metrics.py         the metrics: names, formulas, directions, and how values are written
heldout.py         one held-out text: its items and their columns
texts.py           reads and describes the held-out prose and files that `[evaluate]` names
documents.py       whole documents for word perplexity, split and counted as in lm_eval
labelled.py        multiple-choice questions, and passages whose last word is predicted
source_answers.py  held-out answers of a source
item_texts.py      the readable text of each item, token by token
identity.py        lists the models and texts to measure, and computes the hashes of measurements

How it is measured:
plan.py            makes the worker's job description from settings and store
spec.py            the job description, which the worker child reads from a file
task.py            the worker child's task `evaluate`: measures one model after the other on all held-out texts
answers.py         generates the unquantized target's own answers to held-out questions
compare.py         computes log-likelihood, KL divergence, top-1 agreement and other columns of every item
reference.py       stores the unquantized model's last hidden states on disk for the comparison
environment.py     stores the device, dtype and versions of the measurements
"""
