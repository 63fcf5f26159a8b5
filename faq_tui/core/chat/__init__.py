"""What a conversation looks like to a model: its chat template, its reasoning, its tokens."""
