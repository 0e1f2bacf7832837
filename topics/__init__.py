"""Where events travel: the catalogue of topics, their lanes and partitions, and generated descriptions.

Only `admin` talks to a broker; everything else is pure.
"""
