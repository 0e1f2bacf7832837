"""What the events are: identifiers, the CloudEvents envelope, the models, and golden examples.

Pure: no clock, no randomness, no sockets. Imports nothing else of the product.
"""
