"""Run public benchmarks of lm_eval and evalscope on the unquantized target and its artefacts.

`plan.py` finds requested, stored and missing results, and computes their hashes. `serving.py` finds a running server
for a model, or starts one, and returns its OpenAI-compatible URL. `guard.py` runs an external program, and ends it
when faq-tui ends. `lm_eval.py` runs lm_eval in a worker child, and converts its results. `lm_eval_task.py` is the
worker's task: it runs lm_eval on models that the worker loads, or that a server serves over HTTP. `evalscope.py` runs
evalscope_runner.py, and converts its results. `evalscope_runner.py` runs evalscope, possibly in another Python
environment, so it imports nothing from faq-tui. `prompt_scores.py` checks whether a server can score the tokens of a
prompt, before lm_eval needs the scores. `faults.py` explains the failure of a task in one sentence.
"""
