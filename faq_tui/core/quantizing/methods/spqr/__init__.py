"""SpQR (Dettmers et al. 2023): GPTQ on an asymmetric grid; the costliest weights stay in 16 bits."""
