ALTER TABLE sets ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;      -- samples with an answer that could be cut
ALTER TABLE sets ADD COLUMN whole_answers INTEGER NOT NULL DEFAULT 0; -- those that still hold all of it
ALTER TABLE sets ADD COLUMN ways TEXT NOT NULL DEFAULT '{}';          -- JSON: how samples were built, to count
