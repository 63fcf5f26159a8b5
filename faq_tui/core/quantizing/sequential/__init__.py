"""Our walk through a decoder model, layer by layer, for the methods that no library has."""
