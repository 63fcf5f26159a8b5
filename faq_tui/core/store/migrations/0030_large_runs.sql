-- Runs of 100,000 seeds: what counts and picks need is in indexes, so that no page with texts is read.
CREATE INDEX seeds_chosen ON seeds (position, id) WHERE present AND NOT excluded AND role = 'chosen';

DROP INDEX candidates_by_seed;
CREATE INDEX candidates_by_seed ON candidates (
  generation, seed_id, number, flags, finish_reason, prompt_tokens, completion_tokens, seconds, max_tokens
);

DROP INDEX picks_by_seed;
CREATE INDEX picks_by_seed ON picks (source, seed_id, id, picked_by, who, action, candidate_id, created);

CREATE INDEX scores_by_judge ON scores (judge, candidate_id, score);
