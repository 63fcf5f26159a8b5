"""The quantization methods."""
