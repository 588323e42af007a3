"""A rehearsal of AWS on this machine: moto, with backends of ours for EMR Serverless, EMR on EKS and CloudFormation.

`stage` registers them, under `moto.mock_aws` as over HTTP. What Orchard does not use is refused by name (inputs.toml).
"""
