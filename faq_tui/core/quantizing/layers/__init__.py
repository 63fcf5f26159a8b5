"""Our own walk through a decoder model, layer by layer, for the methods that no library has.

stack: the layers, and what the model hands to each · groups: whose inputs are known at the same moment · together:
one solve for many modules · walk: hidden states through all of it · folder: the model written back · engine: all of
that for one method
"""
