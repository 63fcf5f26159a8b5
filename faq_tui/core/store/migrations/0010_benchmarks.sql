CREATE TABLE benchmark_results (
  subject          TEXT NOT NULL,          -- an artefact's folder, or 'unquantized'
  engine           TEXT NOT NULL,          -- lm_eval | evalscope
  task             TEXT NOT NULL,          -- as it was asked for
  name             TEXT NOT NULL,          -- the task itself, or one of its parts
  metric           TEXT NOT NULL,
  filter           TEXT NOT NULL,          -- how the answer was taken out of the reply; '' or 'none': as it is
  value            REAL,                   -- as the engine gives it; NULL: not finite
  stderr           REAL,                   -- NULL: the engine has none for this metric
  n                INTEGER NOT NULL,       -- items
  repeats          INTEGER NOT NULL,       -- answers to each item
  num_fewshot      INTEGER,
  version          TEXT NOT NULL,          -- of the task
  engine_version   TEXT NOT NULL,
  higher_is_better INTEGER,                -- NULL: not said
  items            TEXT,                   -- JSON: the metric of each item, in the order of the data; NULL: none
  signature        TEXT NOT NULL,          -- hash of subject, task and settings
  created          REAL NOT NULL,
  PRIMARY KEY (subject, engine, task, name, metric, filter)
);

-- Why a benchmark that the settings ask for has no result; gone as soon as it has.
CREATE TABLE benchmark_problems (
  subject TEXT NOT NULL,
  engine  TEXT NOT NULL,
  task    TEXT NOT NULL,
  message TEXT NOT NULL,
  created REAL NOT NULL,
  PRIMARY KEY (subject, engine, task)
);
