"""W8A8: INT8 weights by GPTQ with one scale a channel, INT8 activations with one scale a token."""
