"""The quantization methods. Each method has its own file or folder.

The registry `faq_tui.core.extensions.METHODS` finds the methods.
"""
