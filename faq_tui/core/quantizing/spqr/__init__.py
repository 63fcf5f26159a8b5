"""SpQR (Dettmers et al. 2023): asymmetric GPTQ in which weights that would cost most stay as they are.

grid: the min-max quantizer of a group, its second level, and leave-one-out · matrix: one weight matrix ·
packing: codes as bits · sidecar: what one matrix needs to be decoded · engine: the whole model
"""
