"""From an access key to an identity, remembered for as long as no identity has changed.

    remembered(key)  what was found last, however old: its number says of which state of the identities it is
    current(key)     as of now, for those who compare nothing: asks for the number, and reads again if it is another
    find(key)        reads it anew

An identity is labelled with the number that was read before it: it may be newer than its label, never older.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from chunkd.wire import ClusterKey
from s3gate.catalog.identities import IdentityTables
from s3gate.catalog.identity_rows import USER, AccountRow, IdentityRow, KeyRow
from s3gate.crypto.errors import Tampered
from s3gate.iam import principal as principals
from s3gate.identity import documents
from s3gate.identity.bearing import ALL_OF_ROOT, NOTHING_ALLOWED, Borne, borne_by, compiled, joined
from s3gate.identity.identity import Identity
from s3gate.identity.naming import MAIN_ACCOUNT_ID, MAIN_CANONICAL_ID, TEMPORARY
from s3gate.identity.sealing import SECRETS_PURPOSE, SESSIONS_PURPOSE, Sealer
from s3gate.identity.sessions import Session, open_session, seal_session
from s3gate.s3.credentials import Credential
from s3gate.s3.errors import S3Error

MOST_REMEMBERED: Final = 10_000
MOST_NOTED: Final = 10_000
ROTATED_AT_ONCE: Final = 100


class Identities:
    """What a gate knows of who may sign. `root` is the installation's own key pair, of which no row is kept."""

    def __init__(
        self,
        tables: IdentityTables,
        key: ClusterKey,
        root: Credential | None,
        region: str,
        clock: Callable[[], float],
    ) -> None:
        self.tables = tables
        self._secrets = Sealer.of(key, SECRETS_PURPOSE)
        self.region = region
        self._sessions = Sealer.of(key, SESSIONS_PURPOSE)
        self._root = root
        self._clock = clock
        self._known: OrderedDict[str, Identity] = OrderedDict()
        self._reading: dict[tuple[str, str], asyncio.Task[Identity | None]] = {}
        self._accounts: tuple[int, dict[str, AccountRow]] = (-1, {})
        self._by_canonical_id: dict[str, str] = {}
        self._display_names: dict[str, str] = {}
        self._used: dict[str, tuple[datetime, str]] = {}

    async def start(self) -> None:
        """See to it that the root has an account."""
        await self.tables.make_main(MAIN_ACCOUNT_ID, MAIN_CANONICAL_ID, "main")

    @property
    def root_access_key(self) -> str:
        """The installation's own; empty when it has none."""
        return "" if self._root is None else self._root.access_key

    def remembered(self, access_key: str) -> Identity | None:
        """What was found last. ExpiredToken when it has come to its end."""
        found = self._known.get(access_key)
        if found is not None and found.expires:
            self._check_expiry(found.expires)
        return found

    async def current(self, access_key: str, token: str = "") -> Identity | None:
        """Whom the key stands for now."""
        found = self.remembered(access_key)
        if found is None or found.number != await self.tables.number():
            return await self.find(access_key, token)
        return found

    async def find(self, access_key: str, token: str = "", at_least: int = 0) -> Identity | None:
        """Whom the key stands for, read now (or being read, if that is of this number at least); None: nobody.

        Temporary keys come with their token: ExpiredToken, InvalidToken.
        """
        place = (access_key, token)
        under_way = self._reading.get(place)
        while True:
            reading = self._reading.get(place)
            if reading is None or reading.done():
                reading = asyncio.get_running_loop().create_task(self._read(access_key, token))
                self._reading[place] = reading
                reading.add_done_callback(lambda task: self._has_read(place, task))
            found = await asyncio.shield(reading)
            # What was under way may have been read before what we were asked to see; whatever began later was not.
            if reading is not under_way or (found is not None and found.number >= at_least > 0):
                return found

    def _has_read(self, place: tuple[str, str], task: asyncio.Task[Identity | None]) -> None:
        if self._reading.get(place) is task:
            del self._reading[place]
        if not task.cancelled():
            task.exception()  # whoever waits for it is told; maybe nobody does any longer

    async def accounts(self, number: int | None = None) -> dict[str, AccountRow]:
        """All accounts by their numbers, as of this number of the identities, or as of now."""
        number = await self.tables.number() if number is None else number
        if self._accounts[0] < number:
            rows = {row.account_id: row for row in await self.tables.accounts()}
            self._accounts = (number, rows)
            self._by_canonical_id = {row.canonical_id: row.account_id for row in rows.values()}
            self._display_names = {row.canonical_id: row.name for row in rows.values() if row.name != row.account_id}
        return self._accounts[1]

    async def account_of(self, canonical_id: str, number: int) -> str:
        """The number of the account with this canonical id, as of this number of the identities; "" if it is gone."""
        await self.accounts(number)
        return self._by_canonical_id.get(canonical_id, "")

    async def display_names(self, number: int) -> Mapping[str, str]:
        """The names of accounts that were given one, by canonical id, as of this number of the identities."""
        await self.accounts(number)
        return self._display_names

    def token_of(self, session: Session) -> str:
        """The token of new temporary credentials."""
        return seal_session(self._sessions, session)

    def session_of(self, identity: Identity) -> Session | None:
        """What temporary credentials say; None for lasting ones."""
        return open_session(self._sessions, identity.credential.session_token) if identity.expires else None

    def note_used(self, identity: Identity, service: str, now: datetime) -> None:
        """A request was let in. Written later, many at once (`flush`)."""
        key = identity.source_key
        if key and key != self.root_access_key and (key in self._used or len(self._used) < MOST_NOTED):
            self._used[key] = (now, service)

    async def flush(self) -> None:
        """Write down which keys were used."""
        used, self._used = self._used, {}
        if used:
            rows = [(access_key, at, service) for access_key, (at, service) in used.items()]
            await self.tables.note_used(rows, self.region)

    async def _read(self, access_key: str, token: str) -> Identity | None:
        number = await self.tables.number()
        if access_key.startswith(TEMPORARY):
            found = await self._read_session(access_key, token, number)
        else:
            found = await self._read_key(access_key, number)
        if found is None:
            self._known.pop(access_key, None)
            return None
        self._known[access_key] = found
        self._known.move_to_end(access_key)
        if len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)
        return found

    async def _read_key(self, access_key: str, number: int) -> Identity | None:
        if self._root is not None and access_key == self._root.access_key:
            main = next(row for row in (await self.accounts(number)).values() if row.is_main)
            return Identity(_root_of(main), self._root, number, source_key=access_key)
        row = await self.tables.find_key(access_key)
        if row is None or not row.active:
            return None
        account = (await self.accounts(number)).get(row.account_id)
        if account is None:
            return None
        credential = Credential(access_key, self.secret_of(row))
        if not row.owner:
            return Identity(_root_of(account), credential, number, source_key=access_key)
        user = await self.tables.find(row.account_id, USER, row.owner)
        if user is None:
            return None
        borne = await borne_by(self.tables, row.account_id, USER, row.owner)
        return Identity(_user_of(account, user), credential, number, *borne, source_key=access_key)

    def secret_of(self, row: KeyRow) -> str:
        """The secret of a key that is kept; Tampered when it was sealed by another installation."""
        return self._secrets.open(row.secret, row.access_key).decode()

    def sealed(self, secret: str, access_key: str) -> bytes:
        """The secret of a key as it is kept."""
        return self._secrets.seal(secret.encode(), access_key)

    async def rotate(self) -> int:
        """Seal anew what is sealed under an older key of the installation; how many were."""
        after, count = "", 0
        while rows := await self.tables.key_page(after, ROTATED_AT_ONCE):
            after = rows[-1].access_key
            for row in rows:
                if not self._secrets.is_current(row.secret):
                    fresh = self.sealed(self.secret_of(row), row.access_key)
                    await self.tables.reseal(row.access_key, row.secret, fresh)
                    count += 1
        return count

    async def _read_session(self, access_key: str, token: str, number: int) -> Identity | None:
        # Their token is part of them: also of those that were found again for a request that came without it.
        token = token or self._token_of_known(access_key)
        session = self._opened(access_key, token)
        account = (await self.accounts(number)).get(session.account_id)
        if account is None or not await self._is_alive(session):
            return None
        credential = Credential(access_key, session.secret_key, token)
        limit = compiled(joined(session.policies), "session") if session.policies else None
        principal, borne, tags = _root_of(account), Borne(), session.tags
        if session.kind:
            bearer = await self.tables.find(session.account_id, session.kind, session.name)
            if bearer is None or bearer.identity_id != session.identity_id:
                return None
            borne = await borne_by(self.tables, session.account_id, session.kind, session.name)
            principal = _user_of(account, bearer) if session.kind == USER else _role_of(account, bearer, session)
            tags = documents.tags_with(bearer, session.tags)
        if session.federated_name:
            principal = principals.federated_user(principal, session.federated_name, tags)
            borne = borne if session.kind else ALL_OF_ROOT
            limit = limit or NOTHING_ALLOWED
        return Identity(
            principal, credential, number, *borne, limit, session.expires, session.issued, session.source_key
        )

    def _token_of_known(self, access_key: str) -> str:
        known = self._known.get(access_key)
        if known is None:
            raise S3Error.of("InvalidAccessKeyId", AWSAccessKeyId=access_key)
        return known.credential.session_token

    def _opened(self, access_key: str, token: str) -> Session:
        try:
            session = open_session(self._sessions, token)
        except Tampered:
            raise S3Error.of("InvalidToken") from None
        if session.access_key != access_key:
            raise S3Error.of("InvalidToken")
        self._check_expiry(session.expires)
        return session

    async def _is_alive(self, session: Session) -> bool:
        """Whether the lasting key behind it is still good. A role's session has none."""
        key = session.source_key
        if not key or key == self.root_access_key:
            return True
        row = await self.tables.find_key(key)
        return row is not None and row.active

    def _check_expiry(self, expires: int) -> None:
        if expires <= self._clock():
            raise S3Error.of("ExpiredToken")

    def now(self) -> datetime:
        """The clock's time."""
        return datetime.fromtimestamp(self._clock(), UTC)


def _root_of(account: AccountRow) -> principals.Principal:
    return principals.root(account.account_id, account.canonical_id)


def _user_of(account: AccountRow, user: IdentityRow) -> principals.Principal:
    tags = documents.tags_of(user)
    return principals.user(
        account.account_id, account.canonical_id, user.name, user.identity_id, path=user.path, tags=tags
    )


def _role_of(account: AccountRow, role: IdentityRow, session: Session) -> principals.Principal:
    tags = documents.tags_with(role, session.tags)
    return principals.role_session(
        account.account_id,
        account.canonical_id,
        role.name,
        role.identity_id,
        session.session_name,
        path=role.path,
        tags=tags,
        source_identity=session.source_identity,
        provider=session.provider,
        claims=session.claims,
    )
