"""A vQPU's place in a broker's catalogue: registered, kept by a heartbeat, given up at the end."""
