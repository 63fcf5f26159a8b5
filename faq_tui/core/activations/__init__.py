"""How the target's activations look under a calibration set: spikes, outlier channels, tokens of each expert.

places.py                where a model is looked at: the input of chosen modules, layer by layer
histogram.py             order statistics of |x| to 1e-5, in constant memory
accumulator.py           sums, maxima and the landscape of one place, token by token
experts.py               the inputs of fused experts, and how many tokens each expert got
capture.py               `measure`: rows through a model, everything above in one pass
statistics.py            from sums to max, crest, kurtosis, quantile ratios, channel energy
outliers.py              which channels are outliers, and how many of them a set drives
kinds.py                 what each token is: template, question, reasoning, answer
files.py                 activations/<set>.safetensors
task.py                  the worker's task "activations"
compare.py               two sets over all layers: bootstrap, sign test, a plain sentence
layer_error.py           each layer's output, a quantized model against the unquantized one
"""
