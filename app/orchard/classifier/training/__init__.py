"""Training: what to train on, the fit on Spark, and when to trust an answer.

train         the command: read, fit, save, evaluate
training_set  the photos with their classes, and how they are split
splits        which photos are held out, folds, references (pure)
fit           the steps on Spark: reduce, choose the regularization, fit, calibrate
calibration   temperature, threshold and limit (pure NumPy)
totals        moments, and sums for the references, in one pass over features
passes        several softmax regressions fitted together, in passes over components
logistic      loss and gradient of several softmax regressions (pure NumPy)
together      L-BFGS for several functions in lockstep
components    tasks over components: on Spark, or in threads of the driver where these are few
rows          the rows of a task, read from features, reduced, kept on disk or in memory
trials        what heads say of the fold that they have not seen
"""
