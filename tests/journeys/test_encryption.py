"""A server whose database is encrypted: through a question, a kill and a backup nothing can be read."""

from __future__ import annotations

import tarfile
from pathlib import Path

from storage.encryption import Key
from tests.journeys.light import Light
from tests.journeys.moqi import Person

#: What the documents, the questions and the database's own tables would be found by.
TRACES = ("年假".encode(), "入职".encode(), "报销".encode(), b"CREATE TABLE", b"SQLite format")


class Sealed(Light):
    """An installation that knows its key's file by the environment, and must have one."""

    key: Path | None = None

    def environment(self, **more: str) -> dict[str, str]:
        named = {"MOQI_DATABASE_KEY_FILE": str(self.key)} if self.key else {}
        return super().environment(**named, **more)

    def lies_open(self) -> list[str]:
        """The files of the data folder in which something can be read."""
        return [
            path.name
            for path in self.data.rglob("*")
            if path.is_file() and any(trace in path.read_bytes() for trace in TRACES)
        ]


def test_a_server_with_a_key(tmp_path: Path) -> None:
    house = Sealed(tmp_path, settings={"knowledge": {"encryption": {"required": True}}})
    refused = house.command("serve", "--port", "0")
    assert refused.returncode == 4
    assert "MOQI_DATABASE_KEY_FILE" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (house.data / "moqi.db").exists()

    house.key = tmp_path / "moqi.key"
    secret = Key.make(house.key).literal[2:-1]
    house.start()
    anna = Person(house, "anna")
    answer = anna.finished(anna.ordered("/ask 年假怎么休?"))
    assert answer["sources"]
    assert house.lies_open() == []
    assert house.command("backup", str(tmp_path / "b.tar.gz")).returncode == 0
    house.kill()
    assert house.lies_open() == []

    house.start()
    assert anna.replies()[-1]["sources"] == answer["sources"]
    told = Path(f"/proc/{house.pid}")
    if told.exists():  # where Linux shows what a process was started with
        shown = (told / "cmdline").read_bytes() + (told / "environ").read_bytes()
        assert secret.encode() not in shown
    assert house.stop() == 0
    house.verify()
    assert house.lies_open() == []
    assert secret not in house.log.read_text(encoding="utf-8")
    with tarfile.open(tmp_path / "b.tar.gz") as tar:
        tar.extract("moqi.db", tmp_path / "unpacked", filter="data")
    assert not any(trace in (tmp_path / "unpacked" / "moqi.db").read_bytes() for trace in TRACES)
