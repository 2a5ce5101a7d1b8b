"""What every operation has around it, whoever calls it: the checks that all share, and leave to do it.

Nothing but an S3Error (or a fault of ours) escapes.
"""

from __future__ import annotations

import asyncio

from s3gate.catalog.errors import CatalogError
from s3gate.operations._access import authorize
from s3gate.operations._failures import as_s3_error
from s3gate.operations._paying import charged
from s3gate.operations.exchange import Call, OperationFunction, Response
from s3gate.s3.names import check_bucket_name, check_key
from s3gate.s3.unbuilt import refuse_unbuilt
from s3gate.store.errors import StoreError


def performed(function: OperationFunction) -> OperationFunction:
    """The operation for those who may. Errors of the lower rooms leave it as S3's."""

    async def run(call: Call) -> Response:
        request = call.request
        if request.bucket:
            check_bucket_name(request.bucket)
            check_key(request.key)
        try:
            await authorize(call)
            refuse_unbuilt(request.headers, call.operation.name, call.gate.settings.storage_classes)
            response = await function(call)
            response.headers += charged(call)
            return response
        except asyncio.CancelledError:  # a cancelled write is a StoreError too
            raise
        except (CatalogError, StoreError) as error:
            raise as_s3_error(error, request) from error

    return run
