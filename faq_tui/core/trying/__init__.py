"""Try models: the unquantized target and its artefacts answer the same prompt, and the answers are compared.

Each model is loaded in a worker child, or served by the command in `[evaluate.serve]`.

`request.py` defines the prompt and how its answers are sampled.
`models.py` lists the models that can answer a prompt.
`answer.py` collects the streamed tokens of one answer.
`departure.py` finds the first token where an answer differs from the unquantized model's answer.
`task.py` defines the worker's task, which loads a model and answers prompts.
`loaded.py` starts a worker with this task, and sends prompts to the worker.
`through_server.py` asks a model through the server of `[evaluate.serve]`.
`bench.py` asks all chosen models, side by side if they fit into memory together.
"""
