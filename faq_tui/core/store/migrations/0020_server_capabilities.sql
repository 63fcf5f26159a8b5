-- What a server accepts and reports for one model, as its replies and refusals have shown.
CREATE TABLE server_capabilities (
  server   TEXT NOT NULL,                -- hash of the base URL
  model    TEXT NOT NULL,                -- name on the server
  url      TEXT NOT NULL,                -- without user, password and query
  facts    TEXT NOT NULL,                -- JSON
  learned  REAL NOT NULL,                -- time of the latest fact
  PRIMARY KEY (server, model)
) WITHOUT ROWID;

ALTER TABLE candidates ADD COLUMN left_out TEXT NOT NULL DEFAULT '[]';  -- JSON: parameters that were not sent because the server refuses them
