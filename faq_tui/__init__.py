"""faq-tui: Family-Aware Quantization, from the seed file to the quantized folder, in one terminal."""

__version__ = "0.1.0"
