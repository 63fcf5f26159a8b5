"""SpQR (Dettmers et al. 2023): asymmetric GPTQ whose most costly weights stay as they are, as outliers."""

from faq_tui.core.quantizing.methods.spqr.method import METHOD

__all__ = ["METHOD"]
