"""Pane 6 shows whether quantization with the regenerated data helped."""
