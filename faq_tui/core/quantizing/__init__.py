"""One recipe on one calibration set makes one quantized Hugging Face folder."""
