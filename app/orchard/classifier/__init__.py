"""The classifier: trained on the tables of a run, evaluated, used without Spark, and exported as one file.

options      the flags of train, evaluate, predict and export (standard library only)
command      the four commands
training     what to train on, the fit on Spark, and when to trust an answer
evaluation   how well it tells photos apart, and what makes it look better than it is
prediction   of single photos without Spark, and of a folder or bucket on Spark
export       the LiteRT file for a robot
model        a fitted classifier as arrays: probabilities, unfamiliarity, answers (pure NumPy)
labels       from labels to classes
inputs       the photos of a run's output, and what each was for
pipeline     the model as a stock pyspark.ml pipeline, written and read without a JVM
pointer      classifier.json: found and checked
saved        the files of a classifier, in a folder or in S3: written, replaced, read
"""
