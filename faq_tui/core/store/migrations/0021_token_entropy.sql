-- The entropy of the unquantized model's prediction of each predicted token of the text, in the order of its items:
-- float16, nats, little-endian. NULL: another model, not compared, or measured before.
ALTER TABLE measurements ADD COLUMN token_entropy BLOB;
