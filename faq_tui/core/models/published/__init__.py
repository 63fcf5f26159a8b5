"""Read models that their publishers quantized: FP8 with block scales, and MXFP4.

base.py     what a published format does, and the types that it uses.
fp8.py      FP8 codes with a scale for each block (DeepSeek-V3).
mxfp4.py    4-bit codes with a scale for 32 values (gpt-oss).
view.py     chooses the format of a folder, and lists the dense tensors of the folder.

A dense tensor is computed from its codes and scales when it is read, so that all other code sees a dense model.
"""
