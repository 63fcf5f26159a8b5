"""Measure the target's activations under a calibration set: spikes, outlier channels and tokens of each expert.

module_refs.py           which module inputs are measured, layer by layer
histogram.py             order statistics of |x|, accurate to 1e-5, in constant memory
capture.py               `measure`: one pass of rows through a model; the inputs of fused experts
statistics.py            sums and maxima of one module's input, and max, crest, kurtosis and more from them
files.py                 activations/<set>.safetensors
task.py                  the worker's task "activations"
compare.py               compares two sets over all layers: bootstrap, sign test, outlier channels, a plain sentence
layer_error.py           the error of each layer's output: a quantized model compared with the unquantized one
layer_error_task.py      the worker's task "layer_error"
view.py                  the measurements as panes, reports and exports read them
"""
