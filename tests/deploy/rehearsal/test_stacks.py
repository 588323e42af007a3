"""Stacks and their change sets: what AWS lists, makes, keeps and rolls back."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from orchard_deploy.rehearsal.stacks import NO_CHANGES

from tests.deploy.rehearsal.account import REGION, Account

NAME, BUCKET = "orchard", "orchard-123456789012"
TEMPLATE = """
Parameters:
  Image: {Type: String, Default: ""}
  Cap: {Type: String, Default: 12 vCPU}
  Role: {Type: String, Default: orchard-job}
  MakeBucket: {Type: String, Default: "yes", AllowedValues: ["yes", "no"]}
  ReadArns: {Type: CommaDelimitedList, Default: "arn:aws:s3:::a/*,arn:aws:s3:::b/*"}
Conditions:
  HasImage: !Not [!Equals [!Ref Image, ""]]
  OwnBucket: !Equals [!Ref MakeBucket, "yes"]
Resources:
  Repository:
    Type: AWS::ECR::Repository
    Properties:
      RepositoryName: orchard
      ImageTagMutability: IMMUTABLE
      EmptyOnDelete: true
      ImageScanningConfiguration: {ScanOnPush: true}
      RepositoryPolicyText:
        Version: 2012-10-17
        Statement:
          - Effect: Allow
            Principal: {Service: emr-serverless.amazonaws.com}
            Action: [ecr:BatchGetImage, ecr:DescribeImages, ecr:GetDownloadUrlForLayer]
            Condition:
              ArnLike: {aws:SourceArn: !Sub "arn:aws:emr-serverless:${AWS::Region}:${AWS::AccountId}:/applications/*"}
  Bucket:
    Type: AWS::S3::Bucket
    Condition: OwnBucket
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      BucketName: !Sub orchard-${AWS::AccountId}
      PublicAccessBlockConfiguration: {BlockPublicAcls: true, BlockPublicPolicy: true}
  Policy:
    Type: AWS::S3::BucketPolicy
    Condition: OwnBucket
    Properties:
      Bucket: !Ref Bucket
      PolicyDocument:
        Statement:
          - Effect: Deny
            Principal: "*"
            Action: "s3:*"
            Resource: !Sub "arn:aws:s3:::${Bucket}/*"
            Condition: {Bool: {aws:SecureTransport: false}}
  JobRole:
    Type: AWS::IAM::Role
    Properties:
      RoleName: !Ref Role
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement:
          - {Effect: Allow, Principal: {Service: emr-serverless.amazonaws.com}, Action: sts:AssumeRole}
      Policies:
        - PolicyName: job
          PolicyDocument: {Statement: [{Effect: Allow, Action: s3:GetObject, Resource: !Ref ReadArns}]}
  Application:
    Type: AWS::EMRServerless::Application
    Condition: HasImage
    DependsOn: Repository
    Properties:
      Name: orchard
      Type: SPARK
      ReleaseLabel: emr-7.13.0
      ImageConfiguration: {ImageUri: !Ref Image}
      MaximumCapacity: {Cpu: !Ref Cap, Memory: 48 GB, Disk: 60 GB}
      SchedulerConfiguration: {MaxConcurrentRuns: 1}
      AutoStopConfiguration: {Enabled: true, IdleTimeoutMinutes: 5}
Outputs:
  Uri: {Value: !GetAtt Repository.RepositoryUri}
  RoleArn: {Value: !GetAtt JobRole.Arn}
  Application: {Condition: HasImage, Value: !Ref Application}
"""


class Stack:
    """The stack of `TEMPLATE`, by boto3's CloudFormation client."""

    def __init__(self, account: Account) -> None:
        self.account, self.number = account, 0
        where = {"endpoint_url": account.url} if account.url else {}
        self.client = boto3.client("cloudformation", region_name=REGION, **where)

    def plan(self, kind: str, template: str = TEMPLATE, **parameters: str) -> Any:
        self.number += 1
        self.client.create_change_set(
            StackName=NAME,
            ChangeSetName=f"change-{self.number}",
            ChangeSetType=kind,
            TemplateBody=template,
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Tags=[{"Key": "orchard:application", "Value": NAME}],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )
        return self.client.describe_change_set(StackName=NAME, ChangeSetName=f"change-{self.number}")

    def change(self, kind: str, template: str = TEMPLATE, **parameters: str) -> Any:
        planned = self.plan(kind, template, **parameters)
        self.client.execute_change_set(StackName=NAME, ChangeSetName=planned["ChangeSetName"])
        assert self.found["StackStatus"] == f"{kind}_IN_PROGRESS"
        self.account.clock.sleep(60)
        return planned

    @property
    def found(self) -> Any:
        return self.client.describe_stacks(StackName=NAME)["Stacks"][0]

    @property
    def outputs(self) -> dict[str, str]:
        return {each["OutputKey"]: each["OutputValue"] for each in self.found["Outputs"]}

    @property
    def resources(self) -> dict[str, str]:
        listed = self.client.describe_stack_resources(StackName=NAME)["StackResources"]
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in listed}

    def events(self) -> list[tuple[str, str]]:
        listed = self.client.describe_stack_events(StackName=NAME)["StackEvents"]
        return [(each["LogicalResourceId"], each["ResourceStatus"]) for each in listed]


def listed(planned: Any) -> dict[str, tuple[str, str | None]]:
    changes = [each["ResourceChange"] for each in planned["Changes"]]
    return {each["LogicalResourceId"]: (each["Action"], each.get("Replacement")) for each in changes}


def image(account: Account, tag: str = "one") -> str:
    account.images.tags |= {tag}
    found = account.behind("ecr").describe_images(repositoryName=NAME, imageIds=[{"imageTag": tag}])
    return f"123456789012.dkr.ecr.{REGION}.amazonaws.com/{NAME}@{found['imageDetails'][0]['imageDigest']}"


@pytest.fixture
def stack(aws_in_memory: Account) -> Stack:
    made = Stack(aws_in_memory)
    made.change("CREATE")
    return made


def test_a_stack_is_made_of_what_its_conditions_ask_for(stack: Stack) -> None:
    assert stack.found["StackStatus"] == "CREATE_COMPLETE"
    assert stack.resources == {"Repository": NAME, "Bucket": BUCKET, "Policy": BUCKET, "JobRole": "orchard-job"}
    assert stack.outputs.keys() == {"Uri", "RoleArn"}
    assert stack.found["Tags"] == [{"Key": "orchard:application", "Value": NAME}]
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in stack.found["Parameters"]}
    assert (parameters["Cap"], parameters["ReadArns"]) == ("12 vCPU", "arn:aws:s3:::a/*,arn:aws:s3:::b/*")
    assert ("JobRole", "CREATE_COMPLETE") in stack.events()
    assert stack.events()[0] == (NAME, "CREATE_COMPLETE")


def test_resources_are_real_in_the_other_services(stack: Stack) -> None:
    ecr, iam, s3 = (stack.account.behind(name) for name in ("ecr", "iam", "s3"))
    repository = ecr.describe_repositories()["repositories"][0]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    tags = [iam.get_role(RoleName="orchard-job")["Role"]["Tags"], s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"]]
    assert tags == [[{"Key": "orchard:application", "Value": NAME}]] * 2


def test_an_application_follows_with_its_image(stack: Stack) -> None:
    uri = image(stack.account)
    planned = stack.change("UPDATE", Image=uri)
    assert listed(planned) == {"Application": ("Add", None)}
    found = stack.account.behind("emr-serverless").get_application(applicationId=stack.outputs["Application"])
    assert found["application"]["state"] == "CREATED"
    assert found["application"]["maximumCapacity"] == {"cpu": "12 vCPU", "memory": "48 GB", "disk": "60 GB"}
    assert found["application"]["tags"] == {"orchard:application": NAME}
    assert found["application"]["autoStopConfiguration"] == {"enabled": True, "idleTimeoutMinutes": 5}


def test_a_change_set_without_changes_fails_as_on_aws(stack: Stack) -> None:
    planned = stack.plan("UPDATE")
    assert (planned["Status"], planned["StatusReason"]) == ("FAILED", NO_CHANGES)
    stack.client.delete_change_set(StackName=NAME, ChangeSetName=planned["ChangeSetName"])
    assert stack.client.list_change_sets(StackName=NAME)["Summaries"] == []
    with pytest.raises(ClientError, match="does not exist"):
        stack.client.describe_change_set(StackName=NAME, ChangeSetName=planned["ChangeSetName"])


def test_a_change_of_a_parameter_is_a_change_of_its_resources(stack: Stack) -> None:
    uri = image(stack.account)
    stack.change("UPDATE", Image=uri)
    planned = stack.change("UPDATE", Image=uri, Cap="16 vCPU", Role="other-role")
    assert listed(planned) == {"Application": ("Modify", "False"), "JobRole": ("Modify", "True")}
    assert stack.resources["JobRole"] == "other-role"
    assert [role["RoleName"] for role in stack.account.behind("iam").list_roles()["Roles"]] == ["other-role"]
    assert (
        stack.account.serverless.applications[stack.outputs["Application"]].settings["maximumCapacity"]["cpu"]
        == "16 vCPU"
    )


def test_previous_values_stay(stack: Stack) -> None:
    stack.client.create_change_set(
        StackName=NAME,
        ChangeSetName="previous",
        ChangeSetType="UPDATE",
        TemplateBody=TEMPLATE,
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Tags=[{"Key": "orchard:application", "Value": NAME}],
        Parameters=[{"ParameterKey": key, "UsePreviousValue": True} for key in ("Image", "ReadArns", "Cap")],
    )
    assert stack.client.describe_change_set(StackName=NAME, ChangeSetName="previous")["StatusReason"] == NO_CHANGES


def test_what_is_retained_outlives_its_stack(stack: Stack) -> None:
    planned = stack.change("UPDATE", MakeBucket="no")
    assert listed(planned) == {"Bucket": ("Remove", None), "Policy": ("Remove", None)}
    assert ("Bucket", "DELETE_SKIPPED") in stack.events()
    image(stack.account)
    stack.client.delete_stack(StackName=NAME)
    assert stack.found["StackStatus"] == "DELETE_IN_PROGRESS"
    stack.account.clock.sleep(60)
    with pytest.raises(ClientError, match="does not exist"):
        stack.client.describe_stacks(StackName=NAME)
    assert stack.account.behind("ecr").describe_repositories()["repositories"] == []
    assert [bucket["Name"] for bucket in stack.account.behind("s3").list_buckets()["Buckets"]] == [BUCKET]


def test_a_refused_change_is_rolled_back(stack: Stack) -> None:
    uri = image(stack.account)
    stack.change("UPDATE", Image=uri)
    stack.account.behind("iam").create_role(RoleName="taken", AssumeRolePolicyDocument="{}")
    stack.change("UPDATE", Cap="16 vCPU", Role="taken")
    assert stack.found["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert ("JobRole", "CREATE_FAILED") in stack.events()
    assert stack.resources["JobRole"] == "orchard-job"
    assert stack.plan("UPDATE", Image=uri)["StatusReason"] == NO_CHANGES


def test_a_refused_creation_leaves_a_stack_that_can_only_be_deleted(aws_in_memory: Account) -> None:
    stack = Stack(aws_in_memory)
    aws_in_memory.behind("iam").create_role(RoleName="orchard-job", AssumeRolePolicyDocument="{}")
    stack.change("CREATE")
    assert (stack.found["StackStatus"], stack.resources) == ("ROLLBACK_COMPLETE", {})
    with pytest.raises(ClientError, match="ROLLBACK_COMPLETE"):
        stack.plan("UPDATE")
    stack.client.delete_stack(StackName=NAME)
    stack.account.clock.sleep(60)
    aws_in_memory.behind("s3").delete_bucket(Bucket=BUCKET)  # retained
    aws_in_memory.behind("iam").delete_role(RoleName="orchard-job")
    stack.change("CREATE")
    assert stack.found["StackStatus"] == "CREATE_COMPLETE"


def test_what_cannot_be_deleted_fails_the_deletion(stack: Stack) -> None:
    stack.change("UPDATE", Image=image(stack.account))
    stack.account.behind("emr-serverless").start_application(applicationId=stack.outputs["Application"])
    stack.client.delete_stack(StackName=NAME)
    stack.account.clock.sleep(60)
    assert stack.found["StackStatus"] == "DELETE_FAILED"
    assert stack.resources.keys() == {"Application"}
    stack.account.behind("emr-serverless").stop_application(applicationId=stack.resources["Application"])
    stack.account.clock.sleep(60)
    stack.client.delete_stack(StackName=NAME)
    stack.account.clock.sleep(60)
    assert stack.client.list_stacks()["StackSummaries"][0]["StackStatus"] == "DELETE_COMPLETE"


def test_a_change_in_progress_refuses_another(stack: Stack) -> None:
    planned = stack.plan("UPDATE", Role="other-role")
    stack.client.execute_change_set(StackName=NAME, ChangeSetName=planned["ChangeSetName"])
    with pytest.raises(ClientError, match="UPDATE_IN_PROGRESS"):
        stack.plan("UPDATE", Role="third-role")
    assert stack.events()[0] != (NAME, "UPDATE_COMPLETE")
    stack.account.clock.sleep(60)
    assert stack.events()[0] == (NAME, "UPDATE_COMPLETE")


def test_a_change_set_of_a_new_stack_makes_nothing(aws_in_memory: Account) -> None:
    stack = Stack(aws_in_memory)
    assert listed(stack.plan("CREATE")).keys() == {"Repository", "Bucket", "Policy", "JobRole"}
    assert (stack.found["StackStatus"], stack.resources) == ("REVIEW_IN_PROGRESS", {})
    assert aws_in_memory.behind("ecr").describe_repositories()["repositories"] == []
    stack.plan("CREATE")
    assert len(stack.client.list_change_sets(StackName=NAME)["Summaries"]) == 2


def test_a_type_of_resource_that_is_not_rehearsed_is_named(aws_in_memory: Account) -> None:
    client = boto3.client("cloudformation", region_name=REGION)
    template = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    with pytest.raises(ClientError, match="AWS::SNS::Topic: the rehearsal does not know this"):
        client.create_change_set(StackName=NAME, ChangeSetName="one", ChangeSetType="CREATE", TemplateBody=template)


def test_the_same_over_http(rehearsal: Account) -> None:
    stack = Stack(rehearsal)
    planned = stack.plan("CREATE")
    stack.client.execute_change_set(StackName=NAME, ChangeSetName=planned["ChangeSetName"])
    stack.client.get_waiter("stack_create_complete").wait(StackName=NAME, WaiterConfig={"Delay": 0.05})
    assert stack.outputs.keys() == {"Uri", "RoleArn"}
