"""Quantize decoder models layer by layer. GPTQ, GPTAQ, SpQR and W8A8 use this engine, the walk."""
