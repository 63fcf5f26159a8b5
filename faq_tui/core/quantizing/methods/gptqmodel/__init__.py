"""The shared code of the methods that the library GPTQModel runs: GPTQ, GPTAQ and AWQ."""
