"""Where events travel: the catalogue of topics, their lanes, partitions, and generated descriptions.

Pure, but for `admin`, which talks to a broker.
"""
