"""How near a quantized model is to the unquantized one, on text that no calibration set holds.

texts.py, pydoc_prose.py   held-out prose by name
items.py                   what is measured and resampled: windows of prose, answers
identity.py                who is measured, and the hashes that say whether it was
plan.py                    parent: items and subjects as a file for the worker
task.py                    child: the worker's task "evaluate"
answers.py                 child: held-out answers by the unquantized target
forward.py                 child: a model cut open before its lm_head
reference.py               child: the unquantized model's hidden states on disk
compare.py                 child: nll, KL and top-1 agreement of each item
metrics.py, bootstrap.py   from per-item sums to numbers with intervals (numpy only)
"""
