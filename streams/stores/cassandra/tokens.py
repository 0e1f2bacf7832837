"""Cassandra's tokens: where on the ring a partition is. `Murmur3Partitioner` uses all 64-bit integers."""

TOKEN_MIN, TOKEN_MAX = -(2**63), 2**63 - 1
