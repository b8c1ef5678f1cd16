"""What the statements of a transaction give, and that it ends when it says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Integer,
    MetaData,
    Table,
    bindparam,
    func,
    insert,
    select,
    text,
)

from quanopy.storage.engine import Database
from quanopy.storage.faults import Refused
from quanopy.storage.transaction import PostgresTransaction, Transaction

_lamps = Table("lamps", MetaData(), Column("id", Integer, primary_key=True), Column("lit", Boolean))
_LAMPS = select(_lamps).order_by(_lamps.c.id)
_ADD = insert(_lamps).values(id=bindparam("which", type_=Integer), lit=bindparam("is_lit"))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'lamps.db'}")
    database.alter(lambda c: c.execute(text("CREATE TABLE lamps (id INTEGER PRIMARY KEY, lit)")))
    yield database
    database.close()


def test_rows_have_names_and_the_types_of_their_columns(database: Database) -> None:
    database.write(lambda c: c.later(_ADD, {"which": 1, "is_lit": True}))
    (lamp,) = database.read(lambda c: c.execute(_LAMPS))
    assert lamp.id == 1
    assert lamp.lit is True


def test_what_was_to_be_done_later_is_there_when_asked(database: Database) -> None:
    def add_two(transaction: Transaction) -> list[int]:
        for number in (1, 2):
            transaction.later(_ADD, {"which": number, "is_lit": False})
        return transaction.scalars(_LAMPS)

    assert database.write(add_two) == [1, 2]


def test_nothing_comes_after_the_last(database: Database) -> None:
    def ask_again(transaction: Transaction) -> None:
        transaction.last(_LAMPS)
        transaction.execute(_LAMPS)

    with pytest.raises(RuntimeError, match="last"):
        database.read(ask_again)
    assert database.read(lambda c: c.last(_LAMPS)) == []


def test_a_transaction_that_fails_leaves_nothing_behind(database: Database) -> None:
    def add_twice(transaction: Transaction) -> None:
        for _ in range(2):
            transaction.later(_ADD, {"which": 1, "is_lit": False})

    with pytest.raises(Refused) as refused:
        database.write(add_twice)
    assert refused.value.duplicate
    assert database.read(lambda c: c.execute(_LAMPS)) == []


@pytest.mark.postgres
def test_what_was_sent_ahead_is_no_part_of_what_comes_after_a_failure(postgres_dsn: str) -> None:
    database = Database(postgres_dsn, connections=1)
    database.alter(lambda c: c.execute(text("CREATE TABLE lamps (id INT PRIMARY KEY, lit INT)")))
    many = [{"id": number, "lit": 0} for number in range(300)]

    def fail_meanwhile(transaction: Transaction) -> None:
        assert isinstance(transaction, PostgresTransaction)
        transaction.later(select(func.pg_sleep(0.001)))
        transaction.copy("lamps", many)
        raise Refused(duplicate=False)

    for _ in range(30):
        with pytest.raises(Refused):
            database.write(fail_meanwhile)
        assert database.read(lambda c: c.execute(_LAMPS)) == []
    database.close()
