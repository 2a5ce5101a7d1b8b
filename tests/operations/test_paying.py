"""Requester pays: of which operations it is asked. That it is asked is in tests/access."""

from __future__ import annotations

from botocore.session import get_session

from s3gate.operations._paying import PAID
from s3gate.s3.operation import OPERATIONS, POST_FORM


def test_the_operations_are_those_of_the_model() -> None:
    model = get_session().get_service_model("s3")
    shapes = {name: model.operation_model(name).input_shape for name in model.operation_names if OPERATIONS[name].built}
    taking = {name for name, shape in shapes.items() if shape is not None and "RequestPayer" in shape.members}
    assert PAID - {POST_FORM} == taking - {"GetBucketAccelerateConfiguration"}
