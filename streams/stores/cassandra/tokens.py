"""The range of Cassandra's tokens, which are a partition's position on the ring.

The tokens of `Murmur3Partitioner` are 64-bit integers.
"""

TOKEN_MIN, TOKEN_MAX = -(2**63), 2**63 - 1
