"""The lag monitor against situations whose truth is known, beside other monitors' rules; and its cost."""
