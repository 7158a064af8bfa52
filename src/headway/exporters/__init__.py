"""Boards for other systems. Each module needs an extra of its own."""
