"""Quantize the target with a recipe and a calibration set, and write a Hugging Face model folder."""
