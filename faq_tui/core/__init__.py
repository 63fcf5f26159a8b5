"""The pipeline. The core has no screen and prints nothing.

The core imports torch only inside the functions that need torch.
"""
