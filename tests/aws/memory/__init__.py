"""AWS in this process' memory: `account` holds what there is, `stage` puts the services together behind boto3's words.

The EMR services are the rehearsal's own; ECR, IAM, S3 and STS are dictionaries. No socket, no process, no waiting: a
clock that is moved on by whoever would have slept.
"""
