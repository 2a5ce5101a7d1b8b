"""Tag sets as XML, of objects and buckets alike: they come in, are judged, and go out.

It knows AWS's element names; what a tag may be is `tags`' to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from s3gate.s3.tags import Tag, check_bucket_tags, check_object_tags
from s3gate.s3.xml_in import local_name, malformed, parse_root, tag_list
from s3gate.s3.xml_out import document, escape

TAGGING_LIMIT_BYTES = 128 * 1024


def object_tags(data: bytes) -> list[Tag]:
    """Of PutObjectTagging."""
    return _tagging(data, check_object_tags)


def bucket_tags(data: bytes) -> list[Tag]:
    """Of PutBucketTagging."""
    return _tagging(data, check_bucket_tags)


def tagging(tags: Sequence[Tag]) -> bytes:
    """The answer of every Get…Tagging."""
    shown = "".join(f"<Tag><Key>{escape(key)}</Key><Value>{escape(value)}</Value></Tag>" for key, value in tags)
    return document("Tagging", ("<TagSet>", shown, "</TagSet>"))


def _tagging(data: bytes, check: Callable[[Sequence[Tag]], None]) -> list[Tag]:
    sets = list(parse_root(data, "Tagging"))
    if len(sets) != 1 or local_name(sets[0]) != "TagSet":
        raise malformed()
    tags = tag_list(sets[0])
    check(tags)
    return tags
