"""Layer-by-layer quantization of decoder models, for the methods that no library offers."""
