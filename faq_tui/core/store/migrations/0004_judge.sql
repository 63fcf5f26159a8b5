ALTER TABLE scores ADD COLUMN details TEXT NOT NULL DEFAULT '{}';  -- JSON: sub-scores, orders, token counts

-- Every reply of an LLM judge, also those that could not be read. A killed run asks for none of them again.
CREATE TABLE judge_replies (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  judge   TEXT NOT NULL,                -- as in scores
  unit    TEXT NOT NULL,                -- what was shown: a hash of candidates, in any order
  turn    INTEGER NOT NULL,             -- 0, 1: the orders in which they were shown
  attempt INTEGER NOT NULL,             -- 0: the first reply, 1: the one after the request to repair it
  raw     TEXT NOT NULL,
  error   TEXT NOT NULL,                -- why it does not fit the schema; empty: it does
  created REAL NOT NULL,
  UNIQUE (judge, unit, turn, attempt)
);

-- How well a judge tells real answers from garbage and from answers to other questions.
CREATE TABLE judge_probes (
  judge   TEXT PRIMARY KEY,
  auc     REAL,                         -- NULL: too few of its replies could be read
  low     REAL,                         -- 95 % interval
  high    REAL,
  details TEXT NOT NULL,                -- JSON
  created REAL NOT NULL
);
