"""Commands for the people who operate the system."""
