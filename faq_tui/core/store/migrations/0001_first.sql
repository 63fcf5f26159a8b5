CREATE TABLE seeds (
  id        TEXT PRIMARY KEY,           -- 12 hex digits of a hash of the conversation
  position  INTEGER NOT NULL,           -- order in the file
  label     TEXT,                       -- the file's own id, if it has one
  category  TEXT,
  language  TEXT,
  messages  TEXT NOT NULL,              -- JSON: the conversation up to the question
  answer    TEXT,                       -- the original answer, if there is one
  origin    TEXT NOT NULL,              -- file:line
  role      TEXT NOT NULL DEFAULT 'pool' CHECK (role IN ('chosen', 'heldout', 'pool')),
  excluded  INTEGER NOT NULL DEFAULT 0,
  present   INTEGER NOT NULL DEFAULT 1  -- 0: the file no longer has it, its candidates are kept
);
CREATE INDEX seeds_by_role ON seeds (role, position);
CREATE INDEX seeds_by_label ON seeds (label);

CREATE TABLE candidates (
  id                INTEGER PRIMARY KEY AUTOINCREMENT,
  key               TEXT NOT NULL UNIQUE,  -- hash of seed text, model, prompt version, sampling and number
  seed_id           TEXT NOT NULL REFERENCES seeds (id),
  source            TEXT NOT NULL,         -- who asked for it first
  number            INTEGER NOT NULL,      -- 1, 2, 3 ...
  generation        TEXT NOT NULL,         -- hash of model, prompt version and sampling
  model             TEXT NOT NULL,
  prompt_version    TEXT NOT NULL,
  reasoning         TEXT NOT NULL,
  answer            TEXT NOT NULL,
  finish_reason     TEXT NOT NULL,
  flags             TEXT NOT NULL,         -- JSON list; empty: fit to be picked
  prompt_tokens     INTEGER,
  completion_tokens INTEGER,
  seconds           REAL NOT NULL,
  dialect           TEXT NOT NULL,         -- where the reasoning came from
  created           REAL NOT NULL
);
CREATE INDEX candidates_by_seed ON candidates (generation, seed_id, number);

CREATE TABLE scores (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  candidate_id INTEGER NOT NULL REFERENCES candidates (id),
  judge        TEXT NOT NULL,              -- hash of the judge's settings and prompt
  kind         TEXT NOT NULL,
  score        REAL,                       -- NULL: unscored, never zero
  reason       TEXT NOT NULL,
  raw          TEXT NOT NULL,              -- the judge's whole reply
  created      REAL NOT NULL,
  UNIQUE (candidate_id, judge)
);

CREATE TABLE picks (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  seed_id      TEXT NOT NULL REFERENCES seeds (id),
  source       TEXT NOT NULL,
  action       TEXT NOT NULL CHECK (action IN ('pick', 'reject', 'clear')),
  candidate_id INTEGER REFERENCES candidates (id),
  picked_by    TEXT NOT NULL CHECK (picked_by IN ('judge', 'person')),
  who          TEXT NOT NULL,              -- the judge's hash, or the person's user name
  reason       TEXT NOT NULL,
  created      REAL NOT NULL
);
CREATE INDEX picks_by_seed ON picks (source, seed_id, id);

CREATE TABLE stages (
  stage     TEXT PRIMARY KEY,
  state     TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'stopped')),
  signature TEXT NOT NULL,
  job       TEXT NOT NULL,
  pid       INTEGER NOT NULL,
  started   REAL NOT NULL,
  finished  REAL,
  message   TEXT NOT NULL DEFAULT ''
);

CREATE TABLE sets (
  name        TEXT PRIMARY KEY,            -- its file is calibration/<name>.jsonl
  ids_hash    TEXT NOT NULL,               -- hash of all token ids in order
  samples     INTEGER NOT NULL,
  tokens      INTEGER NOT NULL,
  tokens_full INTEGER NOT NULL,            -- before max_tokens cut any
  by_person   INTEGER NOT NULL,            -- samples whose candidate a person picked
  refused     TEXT NOT NULL,               -- JSON: reason to count
  created     REAL NOT NULL
);

CREATE TABLE artefacts (
  name       TEXT PRIMARY KEY,             -- its folder under models/
  signature  TEXT NOT NULL,                -- hash of recipe, token ids and target
  recipe     TEXT NOT NULL,                -- JSON
  set_name   TEXT NOT NULL,
  same_as    TEXT,                         -- another artefact with the same recipe and ids: its folder is used
  samples    INTEGER NOT NULL,
  tokens     INTEGER NOT NULL,
  bits       REAL NOT NULL,                -- average bits a weight
  seconds    REAL NOT NULL,
  created    REAL NOT NULL
);

CREATE TABLE heldout_answers (
  seed_id    TEXT NOT NULL REFERENCES seeds (id),
  generation TEXT NOT NULL,                -- hash of target and settings
  prompt_ids TEXT NOT NULL,                -- JSON
  answer_ids TEXT NOT NULL,                -- JSON
  text       TEXT NOT NULL,
  PRIMARY KEY (seed_id, generation)
);

CREATE TABLE measurements (
  subject    TEXT NOT NULL,                -- an artefact, or 'unquantized'
  text       TEXT NOT NULL,                -- which held-out text
  signature  TEXT NOT NULL,                -- hash of subject, text and settings
  items      TEXT NOT NULL,                -- JSON: per item tokens, nll, kl, agree
  created    REAL NOT NULL,
  PRIMARY KEY (subject, text)
);
