"""Commands about stored timelines: rebuild, warm."""
