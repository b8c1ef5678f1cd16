"""What the core needs from outside, as protocols; adapters live in the outer packages."""
