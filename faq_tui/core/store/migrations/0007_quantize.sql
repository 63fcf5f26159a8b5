CREATE TABLE artefact_failures (  -- what could not be made, until it is made
    name TEXT PRIMARY KEY,
    signature TEXT NOT NULL,      -- of the artefact that was tried
    message TEXT NOT NULL,
    created REAL NOT NULL
);
