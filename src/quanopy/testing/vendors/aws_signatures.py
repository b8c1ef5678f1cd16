"""Whether a request is signed with a key: AWS Signature Version 4, seen from the server."""

import re

from quanopy.testing.vendors.messages import Request

_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<id>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/"
    r"(?P<service>[^/]+)/aws4_request, SignedHeaders=(?P<headers>[^,]+), Signature=(?P<is>\w+)"
)


def key_of(request: Request) -> str | None:
    """The id of the key that a request says it is signed with."""
    found = _SIGNED.fullmatch(request.headers.get("authorization", ""))
    return found["id"] if found else None


def is_signed(request: Request, secret: str, url: str) -> bool:
    """Whether the signature is that of this secret; the time it was made at is not looked at."""
    from botocore.auth import S3SigV4Auth, SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    found = _SIGNED.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        return False
    signer = S3SigV4Auth if found["service"] == "s3" else SigV4Auth
    headers = {name: request.headers.get(name, "") for name in found["headers"].split(";")}
    query = "&".join(f"{name}={value}" for name, value in request.queries)
    again = AWSRequest(
        method=request.method,
        url=f"{url}{request.path}" + (f"?{query}" if query else ""),
        data=request.body,
        headers=headers,
    )
    again.context["timestamp"] = request.headers.get("x-amz-date", "")
    auth = signer(Credentials(found["id"], secret), found["service"], found["region"])
    to_sign = auth.string_to_sign(again, auth.canonical_request(again))
    return bool(auth.signature(to_sign, again) == found["is"])
