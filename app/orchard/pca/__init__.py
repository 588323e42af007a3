"""Standard scaling and PCA: exact, from moments that tasks can merge.

moments      mean and centred cross-products of feature vectors as a mergeable state (pure NumPy)
projection   scaling and PCA solved from moments; where k is chosen (pure NumPy)
model        the fit as a saved pyspark.ml PipelineModel, written and read without a JVM
job          the Spark jobs: moments of the features' files, and their components
"""
