"""The tables of an output, kept as Delta tables; the only package that uses deltalake.

columns    the columns of features/, rejected/ and components/, and how they are made
parquet    data files: made, written and read
delta      one Delta table: its live files, and the commits that change them
output     the three tables of an output, and who may write them
changes    what a listing asks for that the tables do not hold yet (pure)
"""
