"""A system in trouble, simulated: what its monitor says, for the tests and the pictures of the page /ops."""
