-- How far from the unquantized model each predicted token of the text is, in the order of its items: float16, nats,
-- little-endian, the sign set where the likeliest next token is another one. NULL: not compared, or measured before.
ALTER TABLE measurements ADD COLUMN token_kl BLOB;
