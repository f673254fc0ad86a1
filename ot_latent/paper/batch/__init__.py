"""Many runs of notebooks: what a run depends on, the kernel that executes it, and the workers around it."""
