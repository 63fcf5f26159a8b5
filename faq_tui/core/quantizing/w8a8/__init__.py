"""INT8 weights, one scale an output channel, by GPTQ; INT8 activations, one scale a token, found as they come.

matrix: one weight matrix · engine: the whole model · config: compressed-tensors' words for it
"""
