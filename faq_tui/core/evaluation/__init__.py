"""Measure how close a quantized model is to the unquantized one, on text that is in no calibration set.

These files define the texts and the metrics: `kinds.py` lists the kinds of held-out text, and makes the names of
held-out texts. `metrics.py` defines the metrics, with their names, formulas, directions and number formats.
`heldout.py` defines `Heldout`, a text with its items and columns. `texts.py` reads and describes the held-out
prose and the files that the settings table `[evaluate]` names. `documents.py` reads whole documents for word
perplexity, splits them, and counts their words, as lm_eval does. `labelled.py` reads multiple-choice questions, and
passages in which the model predicts the last word. `source_answers.py` sends held-out questions to a source and keeps
the answers. `item_texts.py` stores the readable text of each item, token by token. `identity.py` lists the models and
texts to measure, and computes the hashes of measurements.

These files make the measurements:
`plan.py` makes the worker's job description from settings and store.
`spec.py` defines the job description, which the worker child reads from a file.
`task.py` defines the worker child's task `evaluate`, which measures each model on all held-out texts.
`answers.py` generates the unquantized target's own answers to held-out questions.
`greedy_answers.py` lets each model write its own answers with greedy decoding, and compares them.
`compare.py` computes the log-likelihood, KL divergence, top-1 agreement and other numbers of every item.
`reference.py` stores the unquantized model's last hidden states on disk for the comparison.
`environment.py` stores the device, the dtype and the package versions of the measurements.
"""
