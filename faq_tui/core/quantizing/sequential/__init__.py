"""Quantize decoder models layer by layer. The methods that no library offers use this code."""
