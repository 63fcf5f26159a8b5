-- Words belong to the items they were read with: those of a text that has changed since it was measured are another's.
-- What was stored without that is written again by the next evaluation, which measures nothing for it.
DROP TABLE heldout_items;
CREATE TABLE heldout_items (
  text   TEXT NOT NULL,                 -- the held-out text, as measurements name it
  items  TEXT NOT NULL,                 -- the hash of its items that is in their signatures
  number INTEGER NOT NULL,              -- from 0, the place in a measurement's columns
  body   TEXT NOT NULL,                 -- JSON: passage, or question, choices and answer, or context and pieces
  PRIMARY KEY (text, items, number)
);
