"""The pictures of the pages: lines, and the heat map of partitions and time."""
