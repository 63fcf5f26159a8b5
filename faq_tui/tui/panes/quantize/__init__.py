"""Pane 5 shows recipes, artefacts and the losses of each layer."""
