"""The commands, on their own."""
