"""faq-tui does Family-Aware Quantization (FAQ) in one terminal, from the seed file to the quantized model."""

__version__ = "0.2.0"
