"""Pane 5: recipes, artefacts and the losses of each layer."""
