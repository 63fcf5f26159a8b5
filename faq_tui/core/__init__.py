"""The pipeline. The core shows nothing on the screen and prints nothing.

The core imports torch only inside the functions that need torch.
"""
