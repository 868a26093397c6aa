"""wechatpy at work: its client, parser and crypto for WeCom (wechatpy.enterprise).

Nothing outside this file knows wechatpy, and nothing that it raises leaves this file. Importing it takes a third of a
second, most of that for requests: `load` does so, in a thread.
"""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import unquote_to_bytes
from xml.parsers.expat import ExpatError

from bot.platforms.base import Enclosed
from bot.platforms.wecom.app.codes import Answer
from bot.platforms.wecom.settings import WecomApp

_PIECE: Final = 64 * 1024  # bytes of a file read at once
_HIDDEN: Final = "***"
_TAGS: Final = 40  # in an envelope; a stranger's thousands would hold everybody up

Client = Any  # wechatpy's, mended


class Unreadable(Exception):
    """Not what WeCom sends, or not made with our key for our organisation."""


def load() -> None:
    """Import what the other functions need."""
    import wechatpy.enterprise
    import wechatpy.enterprise.client
    import wechatpy.enterprise.crypto
    import wechatpy.enterprise.parser  # noqa: F401


def open_client(settings: WecomApp, timeout: tuple[float, float]) -> Client:
    """wechatpy's client for one app, without its own ideas of tokens, to use in as many threads as one likes.

    `timeout`: seconds until a connection stands, and between two pieces of an answer.
    """
    from wechatpy.enterprise.client import WeChatClient

    class Mended(WeChatClient):  # type: ignore[misc]  # wechatpy has no types
        API_BASE_URL = f"{settings.base_url}/cgi-bin/"

        def fetch_access_token(self) -> dict[str, Any]:
            """A new token, which is not kept here. wechatpy's own way has a fixed address and no time limit."""
            # None is left out of the address, and keeps wechatpy from adding a token.
            params = {"corpid": self.corp_id, "corpsecret": self.secret, "access_token": None}
            return dict(self.get("gettoken", params=params, allow_redirects=False))

        def shut(self) -> None:
            """Close the connections."""
            self._http.close()

        def _decode_result(self, res: Any) -> Any:
            """A file stays unread, for who asked to read as much as they want; it may be JSON itself."""
            return res if "content-disposition" in res.headers else super()._decode_result(res)

    logger = logging.getLogger("urllib3")  # tells every address at DEBUG, secret and token included
    logger.setLevel(max(logging.INFO, logger.level))
    secret = settings.secret.get_secret_value()
    return Mended(settings.corp_id, secret, timeout=timeout, auto_retry=False)


def exchange(client: Client, verb: str, path: str, params: Mapping[str, Any], more: Mapping[str, Any]) -> Answer:
    """One call; `more` is `data` (a JSON body), `files`, or `limit` (bytes of a file to be read).

    It never raises what wechatpy or requests raise: that carries the secret and the token, in words and in fields.
    """
    answer = _tried(client, verb, path, params, more)
    return hidden(answer, (client.secret, str(params.get("access_token") or "")))


def hidden(answer: Answer, secrets: Iterable[str]) -> Answer:
    """The answer with nothing secret in what it says."""
    if "errmsg" not in answer.body:
        return answer
    errmsg = str(answer.body["errmsg"])
    for secret in filter(None, secrets):
        errmsg = errmsg.replace(secret, _HIDDEN)
    return replace(answer, body={**answer.body, "errmsg": errmsg})


def _tried(client: Client, verb: str, path: str, params: Mapping[str, Any], more: Mapping[str, Any]) -> Answer:
    from wechatpy.exceptions import WeChatClientException

    given: dict[str, Any] = {name: value for name, value in more.items() if name != "limit"}
    try:
        if path == "gettoken":
            return _read(client.fetch_access_token())
        if verb == "GET":
            given["stream"] = "limit" in more
        # No redirect: it would take the token to wherever it leads.
        work = client.get if verb == "GET" else client.post
        result = work(path, params=dict(params), allow_redirects=False, **given)
        if isinstance(result, dict):
            return _read(result)
        return _file(result, int(more.get("limit", 0)), client.timeout)
    except WeChatClientException as refused:
        if refused.errcode is None:
            return Answer(code=None, body={}, status=refused.response.status_code)
        return Answer(code=refused.errcode, body={"errmsg": refused.errmsg})
    except OSError as lost:  # whatever requests says: no connection, a reset, a timeout, a cut answer
        return Answer(code=None, body={}, status=0, trouble=type(lost).__name__)
    except UnicodeEncodeError:
        return Answer(code=40033, body={"errmsg": "(not sent: half a character)"})
    except (ValueError, TypeError, RecursionError) as odd:  # an errcode that is no number, JSON in JSON in JSON
        return Answer(code=None, body={}, trouble=type(odd).__name__)


def _read(result: Mapping[str, Any]) -> Answer:
    code = result.get("errcode")
    return Answer(code=code if isinstance(code, int) else None, body=result)


def _file(response: Any, limit: int, timeout: tuple[float, float]) -> Answer:
    """What is no JSON: a file, read as it comes, or somebody else's page."""
    name = _filename(response.headers.get("content-disposition", ""))
    if name is None or not limit:
        return Answer(code=None, body={}, status=response.status_code)
    body, until = bytearray(), time.monotonic() + 2 * timeout[1]
    with response:
        for piece in response.iter_content(_PIECE):
            body += piece
            if len(body) > limit:
                return Answer(body={"too_large": True})
            if time.monotonic() > until:
                return Answer(code=None, body={}, trouble="the file takes too long")
    return Answer(body={"file": Enclosed(data=bytes(body), name=name)})


def _filename(disposition: str) -> str | None:
    """The name that WeCom gives a file; None where there is no file."""
    if not disposition:
        return None
    _, found, name = disposition.partition("filename=")
    # Headers are read as Latin-1; what is no ASCII stands there as UTF-8, or as %xx.
    raw = name.partition(";")[0].strip(' "').encode("latin-1", "replace")
    return unquote_to_bytes(raw).decode("utf-8", "replace") if found else ""


def signature(token: str, timestamp: str, nonce: str, encrypted: str) -> str:
    """What msg_signature must say."""
    from wechatpy.utils import WeChatSigner

    signer = WeChatSigner()
    signer.add_data(token, timestamp, nonce, encrypted)
    return str(signer.signature)


def decrypt(encrypted: str, key: bytes, receiver: str) -> str:
    """What WeCom encrypted for `receiver` (our corp_id). Raises Unreadable."""
    from wechatpy.enterprise.crypto import PrpCrypto
    from wechatpy.exceptions import WeChatException

    try:
        return str(PrpCrypto(key).decrypt(encrypted, receiver))
    # wechatpy checks neither padding nor lengths: these are what it stumbles over then.
    except (WeChatException, ValueError, LookupError, struct.error) as error:
        raise Unreadable(type(error).__name__) from error


def sealed(body: bytes) -> str:
    """The encrypted part of a callback. Raises Unreadable."""
    from wechatpy.enterprise.parser import xmltodict  # which refuses entities

    if body.count(b"<") > _TAGS:
        raise Unreadable("far too many elements")
    try:
        found = xmltodict.parse(body)["xml"]["Encrypt"]
    except (ExpatError, ValueError, LookupError, TypeError) as error:
        raise Unreadable(type(error).__name__) from error
    if not isinstance(found, str):
        raise Unreadable("Encrypt is no text")
    return found


def fields(xml: str) -> dict[str, Any]:
    """A message or event as wechatpy reads it: its elements by name. Raises Unreadable."""
    from wechatpy.enterprise import parse_message

    try:
        # Of what it does not know it keeps the elements only, so of everything they are what we go by.
        return dict(parse_message(xml)._data)
    except (ExpatError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise Unreadable(type(error).__name__) from error
