"""The client, on its own."""
