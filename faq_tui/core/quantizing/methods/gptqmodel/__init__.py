"""The methods that the library GPTQModel quantizes."""
