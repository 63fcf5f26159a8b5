-- What a person reads of a labelled held-out item, so that a flip can be opened whatever became of its file.
CREATE TABLE heldout_items (
  text   TEXT NOT NULL,                 -- the held-out text, as measurements name it
  number INTEGER NOT NULL,              -- from 0, the place in a measurement's columns
  body   TEXT NOT NULL,                 -- JSON: passage, or question, choices and answer
  PRIMARY KEY (text, number)
);
