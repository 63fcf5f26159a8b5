"""Run public benchmarks of lm_eval and evalscope on the unquantized target and its artefacts.

plan.py              finds requested, stored and missing results, and computes their hashes
serving.py           gives a model an OpenAI-compatible URL: of a running server, or of a server started for this
guard.py             runs an external program, and ends this program when faq-tui ends
lm_eval.py           runs lm_eval in a worker child, and converts its results
lm_eval_task.py      the worker's task: runs lm_eval on models that are loaded here or served over HTTP
evalscope.py         runs evalscope_runner.py, and converts its results
evalscope_runner.py  runs evalscope, possibly in another Python environment, so it imports nothing from faq-tui
prompt_scores.py     checks that a server can score a prompt before lm_eval relies on it
faults.py            explains the failure of a task in one sentence
"""
