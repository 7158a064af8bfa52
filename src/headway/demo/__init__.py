"""The main job, to watch and to learn from: index the source files of the standard library with a pool of workers.

corpus: which files, in which packages; work: what a worker does; run: the pool, its board, and what happens when a
worker dies; report: what was found.
"""
