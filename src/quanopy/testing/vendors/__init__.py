"""Loopback servers that speak vendors' own protocols and run jobs on the vendors' own emulators.

A vendor's real, unmodified client talks to them, so that a provider can be tested, and a program
tried, with no account and no network. They misbehave as they are told.
"""
