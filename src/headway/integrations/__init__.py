"""Headway inside other libraries: one module each, imported when it is used."""
