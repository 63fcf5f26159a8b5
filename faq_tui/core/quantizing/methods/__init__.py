"""The quantization methods: one file or folder each, found by the registry `faq_tui.core.extensions.METHODS`."""
