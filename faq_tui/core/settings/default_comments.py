"""The keys that `faq-tui init` leaves at their defaults, as comments: what can be set is read in the file itself.

A value after `left out:` is an example, every other one the default.
"""

TARGET = """\
# device = "auto"                # auto | cpu | cuda
# dtype = "auto"                 # of scoring and evaluation: auto | float32 | bfloat16 | float16
# trust_remote_code = false      # true runs Python that the model's folder brings
"""
SEEDS = """\
# sample_seed = 0                # another draw of the seeds
# shape = "auto"                 # auto | messages | prompt | text
# prompt_field = "question"      # left out: found by its usual names
# answer_field = "answer"        # left out: found by its usual names
# split = "train"                # of a `datasets` id
# on_problem = "skip"            # a broken, empty or duplicate line: skip | refuse
"""
SOURCE = """\
# api_key_env = "ELDER_API_KEY"  # left out: no key. The name of a variable, never the key
# also_at = []                   # further servers of the same model; base_url may be a list, too
# files = "elder-files"          # left out: by its name. A folder with its config or tokenizer, for the family check
# on_truncated = "retry"         # cut off or empty: retry (with more room) | other_seed | drop
# on_flagged = "other_seed"      # looping, refusing, another language: retry | other_seed | drop
# retry_room = 2.0               # times max_tokens, where a retry gets more room
# price = { input = 0.0, output = 0.0 }  # left out: free. Per million tokens; with it, regenerating asks first
# confirm_over_tokens = 0        # asks above this estimate, too; 0: only where there is a price
# retries = 5                    # further tries of one request
# retry_wait_s = 0.5             # up to this before the second try, then doubling
# connect_timeout_s = 10.0
# idle_timeout_s = 120.0         # between two pieces of a reply
"""
JUDGE_SERVER = """\
# api_key_env = "JUDGE_API_KEY"  # left out: no key. The name of a variable, never the key
# concurrency = 16               # requests at once
# retries = 5                    # further tries of one request
# mode = "listwise"              # a seed's candidates together in two orders; "pointwise": one by one
# max_tokens = 512               # of a reply, for each candidate that it scores
# reasoning_tokens = 4000        # of a candidate: longer reasoning is cut in the middle for the judge
# max_model_len = 32768          # left out: what the server tells
# probe = 8                      # seeds on which the judge is tested before use; 0: not at all
"""
ASSEMBLE = """\
# common_seeds = true            # every set holds the seeds that all have a sample of: equal samples compare
"""
SETS = """\
# [sets.mixed]                   # further calibration sets, under any names; baseline and one a source are there
# from = { elder = 0.5, baseline = 0.5 }  # left out: its own name. Or one source, or "baseline"
# kind = "seed"                  # left out: seed. How the baseline is written: seed | raw | template | original
# answer_only = false            # true leaves the reasoning out
# tokens_per_sample = 256        # left out: as long as they are. Longer samples lose their end
# select = "diversity"           # left out: as they come. The order that is cut: judge | diversity | coverage
# count = 128                    # left out: all. Samples
# match = { tokens = "baseline" }  # left out: none. The set whose size it takes: samples, tokens, or both
"""
ACTIVATIONS = """\
[activations]                    # how spiky the target's activations are under each set; changes no artefact
# enabled = true
# modules = ["o_proj"]           # last parts of module names, looked at their input; "experts" of a mixture
# samples = 64                   # at most, of each set
# tokens = 16384                 # at most, of each set
# expert_minimum = 0.005         # experts that get fewer of a set's tokens are named
# layer_error_tokens = 1024      # of held-out text, for each artefact's layers; 0: not measured
"""
RECIPE = """\
# preset = "paper"               # left out: none. paper | default | reference
# sets = ["baseline", "elder"]   # left out: every set of the run
# sym = true                     # left out: the method's own, as are all below
# desc_act = false               # gptq, gptaq: columns by falling activation
# damp_percent = 0.05            # of the Hessian's mean diagonal
# experts = "routed"             # of a mixture, calibrated on their own tokens, or on "all"
# alpha = 0.25                   # gptaq: how far the errors of the inputs are answered
# outlier_threshold = 0.2        # spqr: smaller makes more outliers
# scale_bits = 3                 # spqr: of scales and zeros; 0: both in 16 bits
# scale_group = 16               # spqr: output rows that share a scale's scale
"""
QUANTIZE = """\
[quantize]                       # how artefacts are made; changes none of them
# checkpoint_s = 600.0           # gptq of llama and qwen3_moe goes on from a checkpoint; 0: one after each layer
"""
EVALUATE = """\
# window = 512                   # tokens a window of perplexity; windows do not overlap
# prose_tokens = 16384           # at most, of each text
# word_perplexity = []           # as lm_eval counts it: the same names, or jsonl with a "text" a line
# word_window = 2048             # tokens; "model": as long as it can read
# word_documents = 64            # at most, of each text
# answers = ["target"]           # whose answers to the held-out seeds: "target", or a source's name
# answer_tokens = 256            # at most, of each held-out answer
# last_word = ["starter"]        # "starter", "pydoc", a text file, or jsonl with a "text" a line
# multiple_choice = ["starter"]  # "starter", or jsonl with "question", "choices", "answer" a line
# items = 500                    # at most, of each of these two
# repeats = 1                    # draws of each set, every one regenerated, quantized and measured: 3 say more
# repeat_share = 0.5             # of the seeds in each draw, where there are too few for different ones
# batch_size = 4
# bootstrap = 2000               # resamples for each interval

[evaluate.lm_eval]               # public benchmarks: pip install 'faq-tui[lm-eval]'
# tasks = []                     # its own names, or the paper's lists: ["ppl3", "general12"]
# limit = 100                    # left out: all. The first items of each task
# num_fewshot = 5                # left out: each task's own
# mode = "process"               # process | endpoint
# base_url = "serve"             # left out: none. Of mode "endpoint": a server's URL, "serve" or "embedded"
# api_key_env = "SERVER_API_KEY" # left out: no key
# allow_code_execution = false   # true runs what the model wrote, here, as you
# include_path = "tasks"         # left out: none. A folder of your own task files
# batch_size = 4
# max_length = 2048              # left out: the model's own. Tokens of a window
# apply_chat_template = false

[evaluate.evalscope]             # in an environment of its own: pip install evalscope==1.14.0 there
# tasks = []                     # its own names, or the paper's list: ["special5"]
# python = "/path/to/venv/bin/python"  # left out: this one
# base_url = "serve"             # a server's URL, "serve" (the command below) or "embedded"
# api_key_env = "SERVER_API_KEY" # left out: no key
# limit = 10                     # left out: all
# repeats = 1                    # answers to each question
# concurrency = 8                # requests at once
# sampling = { temperature = 0.6, top_p = 0.95, top_k = 20, min_p = 0.0, max_tokens = 8192, seed = 0 }
# enable_thinking = true         # left out: as the model's chat template has it
# dataset_dir = "benchmarks"     # left out: none. Holds a folder for each benchmark that is not to be fetched
# dataset_hub = "modelscope"     # modelscope | huggingface
# allow_code_execution = false   # true runs what the model wrote
# sandbox = "docker"             # where allowed code runs; "none": here, as you

[evaluate.serve]                 # what base_url = "serve" starts, for one model after the other
# command = ["vllm", "serve", "{folder}", "--host", "127.0.0.1", "--port", "{port}", "--served-model-name", "{name}"]
# ready_timeout_s = 1800.0       # from the start to the first answer
"""
PRESET = """\
# [preset]                       # as `faq-tui init --preset` writes it: whose table `faq-tui status` compares with
# name = "paper/table1"
# model = "Qwen3-8B"
"""
