from __future__ import annotations

import pytest
from orchard.errors import InputError, MachineError, OutputError
from orchard.spark.tasks import explain_spark_errors, explain_text
from pyspark.sql import SparkSession

STAGE = "Py4JJavaError: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0"


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("OSError: [Errno 28] No space left on device: '/out/part.parquet'", "SPARK_LOCAL_DIRS"),
        ("java.io.IOException: No space left on device", "SPARK_LOCAL_DIRS"),
        ("java.lang.OutOfMemoryError: Java heap space", "memory"),
        ("org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)", "memory"),
        ("java.lang.UnsatisfiedLinkError: /tmp/x.so: failed to map segment from shared object", "noexec"),
        ("org.apache.spark.SparkException: Could not parse Master URL: 'here'", "--master"),
        (": java.lang.IllegalStateException: SparkContext has been shutdown", "cluster"),
        ("[JAVA_GATEWAY_EXITED] Java gateway process exited before sending its port number.", "--master"),
        (": io.fabric8.kubernetes.client.KubernetesClientException: An error has occurred.", "--master"),
        ("ModuleNotFoundError: No module named 'orchard'", "PYSPARK_PYTHON=/opt/python"),
        (
            "/opt/python: Error while finding module specification: No module named pyspark",
            "PYSPARK_PYTHON=/opt/python",
        ),
        ("orchard.errors.WeightsError: /weights: not there", "/weights: not there"),
    ],
)
def test_explain_text(line: str, key: str) -> None:
    error = explain_text(f"{STAGE}\n{line}\n\tat org.apache.spark", {"PYSPARK_PYTHON": "/opt/python"})
    assert isinstance(error, MachineError)
    assert key in str(error)
    assert "\n" not in str(error)


def test_explain_text_of_a_call_without_an_answer() -> None:
    assert explain_text("An error occurred while calling None.org.apache.spark.api.java.JavaSparkContext")
    assert not explain_text(
        "An error occurred while calling o1.x. Trace:\npy4j.Py4JException: Method x([]) does not exist"
    )


@pytest.mark.parametrize(
    "line", ["ValueError: 3", "ModuleNotFoundError: No module named 'orchards'", "about orchard.errors.InputError: x"]
)
def test_explain_text_of_an_unknown_error(line: str) -> None:
    assert explain_text(f"{STAGE}\n{line}\n") is None


def test_explain_spark_errors_of_a_task(spark: SparkSession) -> None:
    def fail(_: int) -> None:
        raise InputError("/photos: gone")

    with pytest.raises(MachineError) as caught, explain_spark_errors():
        spark.sparkContext.parallelize([1], 1).foreach(fail)
    assert str(caught.value) == "on an executor: /photos: gone"


def test_explain_spark_errors_of_a_lost_jvm() -> None:
    with pytest.raises(MachineError), explain_spark_errors():
        raise ConnectionRefusedError(111, "Connection refused")


@pytest.mark.parametrize("error", [OutputError("/out: full"), ValueError("3"), KeyboardInterrupt()])
def test_explain_spark_errors_lets_others_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, explain_spark_errors():
        raise error
    assert caught.value is error
