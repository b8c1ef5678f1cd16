"""Requests to servers that strangers name: bounded in time and size, and only where allowed."""
