"""The code with which GPTQ, GPTAQ and AWQ run on the library GPTQModel."""
