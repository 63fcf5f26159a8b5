"""Model folders opened in a worker child: found, read, made dense, run up to their last hidden states.

cut: a causal model without its lm_head · dense: any artefact as a plain model · devices: where, in what
dtype · gptqmodel_env: the one way to import gptqmodel · headers: shapes without weights · hub: ids to folders
"""
