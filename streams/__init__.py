"""The write side: from Kafka events to edges, photos and timelines."""
