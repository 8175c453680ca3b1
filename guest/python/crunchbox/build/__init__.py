"""The build driver: from a project in Python to a component. Runs on the author's machine, never in the component."""
