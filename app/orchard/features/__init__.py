"""From photos to rows of features/: what a Spark task does; `orchard.spark.tasks` runs them.

task   one task: reads, decodes, predicts, writes a parquet file; and what it reports
rows   what the features of a task's photos become: rows of features/, or of another table
udf    the same computation as a pandas UDF, for any DataFrame
"""
