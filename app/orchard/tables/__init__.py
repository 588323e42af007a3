"""The tables of an output, kept as Delta tables; the only package that uses deltalake.

columns       the columns of every table, and how they are made
parquet       data files: made, written and read
delta         one Delta table: its live files, and the commits that change them
photo_tables  tables with a row for each photo, and who may write them
output        the three tables of a run
predictions   the two tables of a prediction
changes       what a listing asks for that the tables do not hold yet (pure)
"""
