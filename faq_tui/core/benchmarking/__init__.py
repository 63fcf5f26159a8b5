"""Public benchmarks on the unquantized target and its artefacts, by the programs that made them known.

tasks.py             the paper's task lists by name
plan.py              what is wanted, what is there, and the hashes that tell
serving.py           a model behind an OpenAI-compatible URL: found at a server, or served for as long as it takes
guard.py             a foreign program that ends when we do
lm_eval_task.py      child: lm_eval's tasks on one model, loaded as the evaluation loads it, or over HTTP
lm_eval_run.py       parent of that child
evalscope_runner.py  run by the Python that has evalscope, which may be another environment's: imports nothing of ours
evalscope_run.py     parent of that program
lm_eval_parse.py, evalscope_parse.py   from their results to ours
faults.py            what went wrong with a task, in one sentence
"""
