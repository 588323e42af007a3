"""The only place that knows boto3.

`session` opens it and says in one line what went wrong; the others ask one service each.
"""
