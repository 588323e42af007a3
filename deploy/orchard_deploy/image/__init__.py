"""The container image: its tag, its build, its way to a registry."""
