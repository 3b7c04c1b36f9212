"""Before a long run: the checks that a teacher asks for, its shapes and memory, a profile of its steps."""
