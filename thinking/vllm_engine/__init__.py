"""vLLM as engine, in process or on a server: requests of token ids out, token ids and log probabilities back."""
