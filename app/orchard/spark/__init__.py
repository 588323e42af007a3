"""Spark: session (a context and the JVM below it), tasks (running them; errors in words), worker_daemon."""
