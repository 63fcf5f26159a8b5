"""One recipe x one calibration set -> one quantized Hugging Face folder.

check.py              Refusals before any heavy work: each says in one sentence what is wrong, where, and what to do
checkpoints.py        gptqmodel's checkpoints of an artefact that is being made: a killed or stopped quantization …
coverage.py           How many calibration tokens reached each expert
estimate.py           How long a recipe will take and what memory it will need, before it starts
finish.py             What a folder saved by gptqmodel still lacks: the target's own side files, and no trace of …
fit.py                Can the run's target be quantized by its recipes? Asked before anything is paid for
gptqmodel_configs.py  What gptqmodel is asked for, a function a method
gptqmodel_run.py      The engine of every method that gptqmodel knows: load lazily, quantize layer by layer, save
grid.py               The losses of one artefact as a table, layer by module, small enough for any screen
hessian.py            The second-order statistics of one module's inputs, and the Cholesky factor that the solver …
job.py                The order of one quantization, as it comes over the wire to the worker child
keys.py               What each quantization method accepts, and what it does where a recipe says nothing
layers/               Our own walk through a decoder model, layer by layer, for the methods that no library has
losses.py             What a module's loss in gptqmodel's log row says
manifest.py           `faq_manifest.json`: how an artefact was made. Written last, so its presence means the folder …
methods.py            The registry of quantization methods: one entry each, one engine a family
needed.py             The least memory that a quantization can do with: below it there is no use in beginning
outcome.py            What an engine says of the model that it wrote
profile.py            What a quantization's cost depends on: the shapes of one layer, and how many tokens pass …
progress.py           gptqmodel's callbacks and log rows become messages of the worker
provenance.py         What only the run knows of an artefact: the set and its hash, and which sources and prompts …
queue.py              Every artefact the settings ask for, with how it stands
servable.py           Does a folder hold what vLLM's and SGLang's loaders read first, in the words that they expect?
solver.py             The walk over the columns of one weight matrix that GPTQ, W8A8 and SpQR share
spqr/                 SpQR (Dettmers et al. 2023): asymmetric GPTQ in which weights that would cost most stay as …
task.py               The worker child's task `quantize`: check, quantize, finish the folder, say what came out
w8a8/                 INT8 weights, one scale an output channel, by GPTQ; INT8 activations, one scale a token, …
wire.py               The worker's messages as events
"""
