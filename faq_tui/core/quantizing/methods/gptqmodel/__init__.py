"""The code that GPTQ, GPTAQ and AWQ share. The library GPTQModel runs these three methods."""
