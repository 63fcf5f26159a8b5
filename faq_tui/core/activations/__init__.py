"""Measure the target's activations on a calibration set: spikes, outlier channels, and the tokens of each expert.

`module_refs.py` finds the module inputs that are measured, layer by layer.
`histogram.py` computes order statistics of |x|, with a relative error of at most 1e-5, in constant memory.
`capture.py` runs rows of token ids through a model and measures the inputs of its modules.
`statistics.py` accumulates sums and maxima of one module's input, and computes statistics such as kurtosis.
`files.py` writes and reads the files activations/<set>.safetensors.
`task.py` defines the worker's task "activations".
`compare.py` compares two sets over all layers, and states the result in a sentence.
`layer_error.py` measures how much each layer's output changes when the model is quantized.
`layer_error_task.py` defines the worker's task "layer_error".
`view.py` reads the measurements for panes, reports and exports.
"""
