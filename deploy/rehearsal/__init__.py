"""A rehearsal of AWS on this machine.

EMR Serverless and EMR on EKS as far as Orchard uses them, over real HTTP, with runs that really run.

`protocol` speaks the services' REST protocol by botocore's own models; `known` says which inputs there are;
`applications` and `jobs` are state machines on a clock that is passed in; `serverless` and `containers`, each a
`service`, answer the calls; `runners` run the job, `shipping` writes its logs to S3; `server` is the endpoint.
Everything else of AWS (ECR, IAM, S3, STS) is moto's server, which `server` passes calls on to; `stage` puts it all
together.

What Orchard does not use is refused with an error that says so. What is not known of the real services is not imitated.
"""
