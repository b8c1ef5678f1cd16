"""The HTTP interface, on a real SQLite catalogue, a real folder and a real unix socket."""
