"""From photos to rows of features/: what a Spark task does; `orchard.spark.tasks` runs them.

task   one task: reads, decodes, predicts, writes a parquet file; and what it reports
udf    the same computation as a pandas UDF, for any DataFrame
"""
