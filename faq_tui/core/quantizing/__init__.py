"""One recipe x one calibration set -> one quantized Hugging Face folder.

task.py            what the worker child runs ("quantize"): check, quantize, finish, report
job.py             its order, read from the spec
methods.py         the registry: what each method accepts, and which engine carries it out
gptqmodel_env.py   gptqmodel's traps, closed before it is imported
gptqmodel_run.py   the engine of every method that gptqmodel knows
progress.py        gptqmodel's callbacks and log rows -> messages
losses.py          what a loss says: a number, a note, or that the module is broken
check.py           refusals before any heavy work, one sentence each
headers.py         shapes and sizes from safetensors headers, without torch
finish.py          what a saved folder still lacks
manifest.py        faq_manifest.json, written last: the folder is whole
dense.py           any artefact, or the unquantized model, as a plain dense model
"""
