"""What waits for consumer groups, and what that means: pure decisions over samples of offsets."""
