"""Submission and results."""
