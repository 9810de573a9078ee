"""A prompt becomes a thought and what is read off it: prompts, capped decoding, read-outs, two stages."""
