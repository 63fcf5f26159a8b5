"""Public benchmarks on the unquantized target and its artefacts, by lm_eval and evalscope.

plan.py requested, stored and missing results, and their hashes serving.py a model behind an OpenAI-compatible URL: at
a running server, or served for the time of the benchmarks guard.py runs a foreign program that ends when we do
lm_eval_task.py child: lm_eval's tasks on one model, loaded as the evaluation loads it, or over HTTP lm_eval.py parent
of that child, and its results as ours evalscope_runner.py run by the Python that has evalscope, which may be another
environment's: imports nothing of ours evalscope.py parent of that program, and its results as ours faults.py the
failure of a task in one sentence
"""
