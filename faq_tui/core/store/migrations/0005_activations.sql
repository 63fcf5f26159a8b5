CREATE TABLE activations (
  set_name  TEXT PRIMARY KEY,             -- its arrays are in activations/<set_name>.safetensors
  signature TEXT NOT NULL,                -- hash of target, settings and token ids
  samples   INTEGER NOT NULL,             -- that went through the target
  tokens    INTEGER NOT NULL,
  seconds   REAL NOT NULL,
  summary   TEXT NOT NULL,                -- JSON: each place's statistics, tokens of each kind, starved experts
  created   REAL NOT NULL
);

CREATE TABLE layer_errors (
  subject   TEXT PRIMARY KEY,             -- a folder under models/
  signature TEXT NOT NULL,                -- hash of subject, text and dtype
  text      TEXT NOT NULL,                -- which held-out text
  tokens    INTEGER NOT NULL,
  errors    TEXT NOT NULL,                -- JSON: relative error of each layer's output, the first layer first
  created   REAL NOT NULL
);
