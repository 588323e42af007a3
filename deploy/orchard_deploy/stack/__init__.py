"""What stands in the account, as one CloudFormation stack: plan, up, down."""
