"""How costs grow with the number of tasks, of readers and of processes: `ci/bench --scaling`."""
