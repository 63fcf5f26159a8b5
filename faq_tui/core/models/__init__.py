"""Model folders opened in a worker child: found, read, made dense, run up to their last hidden states.

activations: INT8 inputs on dense weights · code: a folder without its Python code · cut: a causal model without its
lm_head · dense: any artefact as a plain model · dequantize: packed weights multiplied out · devices: where, in what
dtype · experts: fused experts as single matrices · gptqmodel_env: the one way to import gptqmodel · headers: shapes
without weights · hub: ids to folders · tokenizer: a tokenizer of any folder
"""
