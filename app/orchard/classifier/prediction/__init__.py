"""Prediction: of single photos without Spark, and of a folder or bucket on Spark.

classifier   `Classifier`, for notebooks, and single photos on the command line
images       what can be classified: paths, bytes, images, arrays (Pillow, NumPy)
table        predictions of the photos in a folder or bucket, on Spark
rows         rows of predictions/, made of features and counted
"""
