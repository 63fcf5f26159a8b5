ALTER TABLE candidates ADD COLUMN max_tokens INTEGER;              -- asked for, after the model's window and a retry with more room
ALTER TABLE candidates ADD COLUMN sampling_seed INTEGER;           -- sent; not the setting's where another one was tried
ALTER TABLE candidates ADD COLUMN requests INTEGER NOT NULL DEFAULT 1;  -- sent for this candidate, failed ones counted
ALTER TABLE candidates ADD COLUMN why TEXT NOT NULL DEFAULT '{}';  -- JSON: flag to what was found

-- Candidates whose tries are used up. A new run asks for them again and takes their rows out.
CREATE TABLE failed_candidates (
  key        TEXT PRIMARY KEY,           -- the candidate's
  seed_id    TEXT NOT NULL REFERENCES seeds (id),
  source     TEXT NOT NULL,
  number     INTEGER NOT NULL,
  generation TEXT NOT NULL,
  reason     TEXT NOT NULL,
  requests   INTEGER NOT NULL,
  created    REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX failed_candidates_by_seed ON failed_candidates (generation, seed_id);
