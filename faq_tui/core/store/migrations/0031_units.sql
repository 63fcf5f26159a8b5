-- The last attempt at each unit of work that a process of its own did. A job of the whole run writes none.
CREATE TABLE units (
  name     TEXT PRIMARY KEY,
  inputs   TEXT NOT NULL,                -- hash of everything that the result depends on
  state    TEXT NOT NULL,                -- done, failed or stopped
  message  TEXT NOT NULL,                -- summary, or why it failed
  host     TEXT NOT NULL,                -- the machine that did it
  seconds  REAL NOT NULL,
  finished REAL NOT NULL                 -- unix seconds
) WITHOUT ROWID;
