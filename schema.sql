-- The truth of s3gate: what exists, which of it is visible, and who still needs which bytes.
--
-- Plain SQL on purpose: no triggers, procedures, advisory locks, sequences on a hot path, nor anything that depends
-- on a collation, so that it runs on any Postgres (13 or later) and on a distributed one that speaks its protocol.
-- Foreign keys are left out on purpose: they are triggers, one more locked row per write, and every commit
-- already holds its bucket's or upload's row. Bytes that come from clients are bytea: a NUL or a lone surrogate
-- must not fail a statement. Ids are 16 bytes: session, counter, spread (geometry/ids.py).
-- Locks are taken in one order: session, bucket, upload, object, version, part, content.
--
-- What a value may be is said by its type where rows are written all the time. A CHECK of the table would say the same,
-- but Postgres reads and compiles those anew for every statement that writes: a seventh of what a small PUT costs it.
-- (What a row's columns may not be together is looked at by `admin check`, and by the tables of our tests.)

CREATE DOMAIN id16 AS bytea CHECK (length(VALUE) = 16);
CREATE DOMAIN id16_or_none AS bytea CHECK (length(VALUE) IN (0, 16));
CREATE DOMAIN key_bytes AS bytea CHECK (length(VALUE) BETWEEN 1 AND 1024);  -- listing relies on the length
CREATE DOMAIN byte_count AS bigint CHECK (VALUE >= 0);
CREATE DOMAIN lock_bits AS smallint CHECK (VALUE BETWEEN 0 AND 15);  -- 1 governance, 2 compliance, 4 legal hold, 8 a hold was once said on or off
CREATE DOMAIN garbage_kind AS text CHECK (VALUE IN ('content', 'upload', 'unlisted'));

-- One row: which cluster this database belongs to, and the format of its tables.
CREATE TABLE cluster (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),  -- a second row cannot exist
    cluster_id  bytea NOT NULL CHECK (length(cluster_id) = 16),     -- a gate with another cluster's key is refused
    format      integer NOT NULL,                                   -- a gate of another format is refused
    -- Bumped by every change of an identity. Whoever gives out or compares a bucket's configuration number adds it, so
    -- that such a change looks like a change of every bucket's configuration, and no remembered row outlives it.
    identity_number  bigint NOT NULL DEFAULT 1
);

-- One run of a gate, a worker or a command of an operator. Commits hold its row FOR KEY SHARE; raising the fence waits for them (law 6).
CREATE TABLE session (
    session_id  bigint PRIMARY KEY CHECK (session_id > 0),  -- random, the first 8 bytes of every id it makes
    fence       bigint NOT NULL DEFAULT 1,                  -- a commit that knows an older fence writes nothing
    kind        text NOT NULL,                              -- gate, worker or admin, for people
    opened_at   timestamptz NOT NULL DEFAULT now(),
    seen_at     timestamptz NOT NULL DEFAULT now(),         -- a heartbeat; stale sessions are closed by a worker
    closed_at   timestamptz                                 -- only closed sessions are swept for orphans (law 4)
) WITH (fillfactor = 50);                                   -- rewritten every few seconds: room for HOT updates

-- A chunkd. Its row is the compare-and-set that keeps a cloned or rolled-back disk out.
CREATE TABLE node (
    node_id         bytea PRIMARY KEY CHECK (length(node_id) = 16),
    incarnation     bigint NOT NULL,       -- grows with every join
    nonce           bytea NOT NULL,        -- of the last join, so that a retried join is told from a cloned disk
    address         text NOT NULL,         -- host:port
    socket          text NOT NULL,         -- unix path, or empty
    host            text NOT NULL,
    zone            text NOT NULL,
    device          text NOT NULL,         -- nodes of one device share its free space
    state           text NOT NULL,         -- ok, full, read-only: as chunkd says
    capacity_bytes  bigint NOT NULL,
    free_bytes      bigint NOT NULL,
    used_bytes      bigint NOT NULL DEFAULT 0,
    queue           integer NOT NULL DEFAULT 0,
    fsync_seconds   double precision NOT NULL DEFAULT 0,
    io_errors       bigint NOT NULL DEFAULT 0,
    joined_at       timestamptz NOT NULL DEFAULT now(),
    seen_at         timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);                  -- a heartbeat every few seconds: room for HOT updates

-- Six nodes in order. Segments name their group, so a row is never removed while one may name it: it is retired.
CREATE TABLE placement_group (
    group_id  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- 4 bytes of every extent; made rarely
    epoch     integer NOT NULL DEFAULT 1,
    nodes     bytea[] NOT NULL CHECK (cardinality(nodes) = 6),
    writable  boolean NOT NULL DEFAULT true
);
-- One writable group per sequence of nodes: applying a plan twice makes nothing twice (law 10).
CREATE UNIQUE INDEX placement_group_writable ON placement_group (nodes) WHERE writable;

-- How lengths become shards. Rows name their layout for ever, so changed settings make a new row.
CREATE TABLE layout (
    layout_id      smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text NOT NULL,
    unit_bytes     integer NOT NULL,
    floor_bytes    integer NOT NULL,
    segment_bytes  bigint NOT NULL,
    -- Two gates that start at once find one layout.
    CONSTRAINT layout_once UNIQUE (name, unit_bytes, floor_bytes, segment_bytes)
);

CREATE TABLE bucket (
    bucket_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- never reused: a remembered row cannot mean a successor
    name           text COLLATE "C" NOT NULL,
    config_number  bigint NOT NULL DEFAULT 1,  -- commits compare it, so that no gate works from an older configuration
    owner          text NOT NULL,
    region         text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    versioning     smallint NOT NULL DEFAULT 0 CHECK (versioning BETWEEN 0 AND 2),  -- 0 never, 1 enabled, 2 suspended
    lock_enabled   boolean NOT NULL DEFAULT false,
    CONSTRAINT bucket_name UNIQUE (name),      -- names are global; also the way in
    CONSTRAINT bucket_lock CHECK (versioning = 1 OR NOT lock_enabled)  -- a lock protects versions: they must be kept
);
-- ListBuckets: an account's own, in order.
CREATE INDEX bucket_owner ON bucket (owner, name);

-- What a bucket was told: documents as GET answers them. Every change bumps the bucket's config_number.
CREATE TABLE bucket_setting (
    bucket_id   bigint NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    setting_id  text COLLATE "C" NOT NULL,  -- empty for the kinds of which a bucket has one; pages go in byte order
    document    bytea NOT NULL,
    CONSTRAINT bucket_setting_key PRIMARY KEY (bucket_id, kind, setting_id)
);
-- The worker looks for the buckets that have rules.
CREATE INDEX bucket_setting_lifecycle ON bucket_setting (bucket_id) WHERE kind = 'lifecycle';

-- How far the lifecycle worker has come with a bucket, so that the next one goes on after a kill.
CREATE TABLE lifecycle_progress (
    bucket_id     bigint PRIMARY KEY,
    day           bigint NOT NULL,      -- which the walk is for, as the worker counts days
    position      bytea NOT NULL,       -- opaque here; empty at the beginning
    done          boolean NOT NULL,     -- until the next day
    leased_until  timestamptz NOT NULL  -- a worker that died gives it back by time; who waited longest is next
) WITH (fillfactor = 50);               -- rewritten with every page of a walk: room for HOT updates

-- The current version of every key (law 1), a delete marker included: the head of the key. Every change to any version
-- of a key holds this row's lock.
CREATE TABLE object (
    bucket_id    bigint NOT NULL,
    key          key_bytes NOT NULL,
    version      bigint NOT NULL,       -- a counter of its key: what a commit saw, and what orders versions
    content_id   id16 NOT NULL,
    size         byte_count NOT NULL,
    etag         text NOT NULL,
    modified_at  timestamptz NOT NULL,  -- Postgres' clock at the commit
    layout_id    smallint NOT NULL,
    part_count   integer NOT NULL,      -- 0: the extents are here
    extents      bytea NOT NULL,        -- segments and their groups; empty when the parts have them
    headers      bytea NOT NULL,
    checksum     text NOT NULL,
    version_id   id16_or_none NOT NULL DEFAULT '',  -- empty: the null version
    marker       boolean NOT NULL DEFAULT false,  -- a delete marker: its content_id is an id of its own and names nothing
    tags         bytea NOT NULL DEFAULT '',
    lock         lock_bits NOT NULL DEFAULT 0,
    retain_until timestamptz,                     -- judged by Postgres' clock, inside the commit
    sse          bytea NOT NULL DEFAULT '',       -- the envelope of the data key; empty: stored as it came
    acl          bytea NOT NULL DEFAULT '',
    CONSTRAINT object_key PRIMARY KEY (bucket_id, key)  -- byte order is listing order; bucket first, so that it can be distributed
);
-- Listing walks it: a bucket full of delete markers lists like an empty one.
CREATE INDEX object_live ON object (bucket_id, key) WHERE NOT marker;
-- Is this content still referenced (law 5), and what did a closed session write (law 4): ids begin with the session.
CREATE INDEX object_content ON object (content_id);
-- The few whose later segments no other index can find, for the sweep of a closed session.
CREATE INDEX object_segments ON object (content_id) WHERE length(extents) > 20;

-- The older versions of the keys of `object`, delete markers included. A key without a head has none.
CREATE TABLE version (
    LIKE object INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
    superseded_at  timestamptz NOT NULL     -- when it became noncurrent: lifecycle rules count from here
);
-- Newest first: the order of a key's versions, and the way to one of them.
CREATE UNIQUE INDEX version_order ON version (bucket_id, key, version DESC);
-- A key has one null version; suspended writes replace it wherever it is.
CREATE UNIQUE INDEX version_null ON version (bucket_id, key) WHERE version_id = '';
-- As those of `object`: a reference is a row of either table (law 5).
CREATE INDEX version_content ON version (content_id);
CREATE INDEX version_segments ON version (content_id) WHERE length(extents) > 20;

-- Multipart uploads under way. UploadPart holds the row FOR SHARE, Complete and Abort take it away.
CREATE TABLE upload (
    upload_id           id16 PRIMARY KEY,
    bucket_id           bigint NOT NULL,
    key                 key_bytes NOT NULL,
    initiated_at        timestamptz NOT NULL DEFAULT now(),
    headers             bytea NOT NULL,
    checksum_algorithm  text NOT NULL,
    checksum_type       text NOT NULL,
    group_id            integer NOT NULL,  -- an upload keeps its group from the beginning
    tags                bytea NOT NULL DEFAULT '',  -- what the version will have, as in object
    lock                lock_bits NOT NULL DEFAULT 0,
    retain_until        timestamptz,
    sse                 bytea NOT NULL DEFAULT '',
    acl                 bytea NOT NULL DEFAULT ''
);
-- ListMultipartUploads pages by it; DeleteBucket looks here too. Every row is in it, but only who says the condition may
-- use it: while the table is small, it seems as good as the primary key for an upload_id alone, which walks all of it.
CREATE UNIQUE INDEX upload_key ON upload (bucket_id, key, upload_id) WHERE key <> '';
-- Expiry walks from the oldest.
CREATE INDEX upload_initiated ON upload (initiated_at);

-- Parts of uploads, and of the contents that uploads became: Complete moves no row, the upload's id becomes the content's.
CREATE TABLE part (
    upload_id    bytea NOT NULL CHECK (length(upload_id) = 16),
    part_number  integer NOT NULL CHECK (part_number BETWEEN 1 AND 10000),
    part_id      bytea NOT NULL CHECK (length(part_id) = 16),  -- fresh for every attempt: Complete verifies it
    size         bigint NOT NULL CHECK (size >= 0),
    etag         text NOT NULL,
    checksum     text NOT NULL,
    modified_at  timestamptz NOT NULL,
    layout_id    smallint NOT NULL,
    extents      bytea NOT NULL,
    sse          bytea NOT NULL DEFAULT '',     -- the part's salt; its upload has the envelope
    -- A part made by reference (UploadPartCopy): the object's content_id or the part's part_id under which its segments
    -- were written. Always all of them, never some, and never those of another such part: there are no chains.
    source_id    bytea CHECK (length(source_id) = 16),
    CONSTRAINT part_number PRIMARY KEY (upload_id, part_number),
    CONSTRAINT part_source CHECK (source_id IS NULL OR (source_id <> part_id AND length(extents) > 0))
);
-- Did an ambiguous UploadPart commit (law 6), and what did a closed session write (law 4).
CREATE INDEX part_attempt ON part (part_id);
CREATE INDEX part_segments ON part (part_id) WHERE length(extents) > 20;
-- Do parts still name these segments (law 5), and what of a closed session's do they (law 4).
CREATE INDEX part_references ON part (source_id) WHERE source_id IS NOT NULL;

-- Which of an upload's parts the completed content has: one row, so that Complete is O(1) in rows. Immutable.
CREATE TABLE content (
    content_id    bytea PRIMARY KEY CHECK (length(content_id) = 16),
    part_numbers  integer[] NOT NULL,
    part_sizes    bigint[] NOT NULL,
    CONSTRAINT content_parts CHECK (cardinality(part_numbers) = cardinality(part_sizes))
);

-- What a Complete answered, kept a while: a retry of what succeeded is a success, whatever its conditions say now.
CREATE TABLE completed_upload (
    upload_id       bytea PRIMARY KEY,
    bucket_id       bigint NOT NULL,
    key             bytea NOT NULL,
    etag            text NOT NULL,
    checksum        text NOT NULL,
    version         bigint NOT NULL,
    version_id      bytea NOT NULL DEFAULT '',
    request_digest  bytea NOT NULL,       -- of the list of parts: another list is another request
    completed_at    timestamptz NOT NULL DEFAULT now()
);
-- Tombstones are forgotten from the oldest.
CREATE INDEX completed_upload_age ON completed_upload (completed_at);

-- Contents that lost a reference (law 5). Consumed by deletion, oldest first; a row may stand for content that is
-- still referenced, and for content that is here twice: the collector asks before it deletes, and may delete twice.
-- No unique content_id: a second lost reference must not vanish into a row that is being consumed.
CREATE TABLE garbage (
    queued_at     timestamptz NOT NULL DEFAULT now(),
    garbage_id    uuid NOT NULL DEFAULT gen_random_uuid(),
    kind          garbage_kind NOT NULL,
    content_id    id16 NOT NULL,
    part_count    integer NOT NULL,   -- 0: the extents are here; else the rows of part have them
    layout_id     smallint NOT NULL,
    extents       bytea NOT NULL,
    leased_until  timestamptz NOT NULL DEFAULT '-infinity',  -- a collector that died gives it back by time
    CONSTRAINT garbage_order PRIMARY KEY (queued_at, garbage_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
-- Did an ambiguous commit happen and was replaced since (law 6); the sweep of a closed session (law 4).
CREATE INDEX garbage_content ON garbage (content_id);

-- Shards that wait for a node that is down: parked, so that one dead node does not stop the collector.
CREATE TABLE node_garbage (
    node_id    bytea NOT NULL CHECK (length(node_id) = 16),
    parked_at  timestamptz NOT NULL DEFAULT now(),
    parked_id  uuid NOT NULL DEFAULT gen_random_uuid(),
    shard_ids  bytea NOT NULL CHECK (length(shard_ids) > 0 AND length(shard_ids) % 17 = 0),  -- 17 bytes each
    CONSTRAINT node_garbage_order PRIMARY KEY (node_id, parked_at, parked_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

-- Whose buckets and identities they are. One of them is the main one: S3GATE_ROOT_ACCESS_KEY is its root.
CREATE TABLE account (
    account_id    text COLLATE "C" PRIMARY KEY CHECK (account_id ~ '^[0-9]{12}$'),
    canonical_id  text COLLATE "C" NOT NULL,
    name          text NOT NULL,
    email         text COLLATE "C" NOT NULL,      -- may be empty
    alias         text COLLATE "C" NOT NULL DEFAULT '',
    is_main       boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT account_canonical UNIQUE (canonical_id)  -- what a bucket's owner names
);
CREATE UNIQUE INDEX account_main ON account (is_main) WHERE is_main;
CREATE UNIQUE INDEX account_alias ON account (alias) WHERE alias <> '';

-- Users, groups, roles, managed policies and OIDC providers. What differs between them is in the document, which is
-- opaque here. Every change of this and of the tables below bumps cluster.identity_number in its transaction.
CREATE TABLE identity (
    account_id   text COLLATE "C" NOT NULL,
    kind         text COLLATE "C" NOT NULL CHECK (kind IN ('user', 'group', 'role', 'policy', 'provider')),
    folded       text COLLATE "C" NOT NULL,       -- the name in lower case: names differ by more than case
    name         text COLLATE "C" NOT NULL,
    identity_id  text COLLATE "C" NOT NULL,       -- never reused: a session of a deleted role is not one of its successor
    path         text COLLATE "C" NOT NULL,
    document     bytea NOT NULL,
    created_at   timestamptz NOT NULL,
    CONSTRAINT identity_key PRIMARY KEY (account_id, kind, folded)  -- lists go in this order
);

-- The policies inside of users, groups and roles, and the versions of managed ones.
CREATE TABLE identity_policy (
    account_id  text COLLATE "C" NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    owner       text COLLATE "C" NOT NULL,        -- identity.folded
    name        text COLLATE "C" NOT NULL,
    document    bytea NOT NULL,                   -- as it was given
    in_force    boolean NOT NULL,                 -- false: a version that is not the default one
    created_at  timestamptz NOT NULL,
    CONSTRAINT identity_policy_key PRIMARY KEY (account_id, kind, owner, name)
);

-- Which group a user is in, which managed policies are attached, which one is the boundary.
CREATE TABLE identity_link (
    account_id  text COLLATE "C" NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    owner       text COLLATE "C" NOT NULL,        -- identity.folded
    link        text COLLATE "C" NOT NULL CHECK (link IN ('group', 'policy', 'boundary')),
    target      text COLLATE "C" NOT NULL,        -- a group's identity.folded, a policy's ARN
    CONSTRAINT identity_link_key PRIMARY KEY (account_id, kind, owner, link, target)
);
-- The members of a group, the entities that a policy is attached to.
CREATE INDEX identity_link_target ON identity_link (account_id, link, target);

CREATE TABLE access_key (
    access_key         text COLLATE "C" PRIMARY KEY,
    account_id         text COLLATE "C" NOT NULL,
    owner              text COLLATE "C" NOT NULL, -- a user's identity.folded; empty: the account's root
    secret             bytea NOT NULL,            -- sealed: the key of the installation is not in this database
    active             boolean NOT NULL,
    created_at         timestamptz NOT NULL,
    last_used_at       timestamptz,               -- written seldom, and not a change of an identity
    last_used_service  text NOT NULL DEFAULT '',
    last_used_region   text NOT NULL DEFAULT ''
);
CREATE INDEX access_key_owner ON access_key (account_id, owner);
