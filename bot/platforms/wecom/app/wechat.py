"""wechatpy at work: its client, parser and crypto for WeCom (wechatpy.enterprise). To be imported in a thread.

Importing it takes a third of a second, most of that for requests. Nothing outside this file knows wechatpy, and nothing
that it raises leaves this file.
"""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Mapping
from typing import Any, Final
from xml.parsers.expat import ExpatError

from wechatpy.enterprise import parse_message
from wechatpy.enterprise.client import WeChatClient
from wechatpy.enterprise.crypto import PrpCrypto
from wechatpy.enterprise.parser import xmltodict  # which refuses entities
from wechatpy.exceptions import WeChatClientException, WeChatException
from wechatpy.utils import WeChatSigner

from bot.platforms.base import Enclosed
from bot.platforms.wecom.app.codes import Answer
from bot.platforms.wecom.settings import WecomApp

_PIECE: Final = 64 * 1024  # bytes of a file read at once
_HIDDEN: Final = "***"


class Unreadable(Exception):
    """Not what WeCom sends, or not made with our key for our organisation."""


class Client(WeChatClient):  # type: ignore[misc]  # wechatpy has no types
    """wechatpy's client for one app, without its own ideas of tokens."""

    def __init__(self, settings: WecomApp, timeout: tuple[float, float]) -> None:
        """`timeout`: seconds until a connection stands, and between two pieces of an answer."""
        self.API_BASE_URL = f"{settings.base_url}/cgi-bin/"
        super().__init__(settings.corp_id, settings.secret.get_secret_value(), timeout=timeout, auto_retry=False)

    def fetch_access_token(self) -> dict[str, Any]:
        """A new token, which is not kept here. wechatpy's own way goes to a fixed address, with no time limit."""
        # None is left out of the address, and keeps wechatpy from adding a token.
        params = {"corpid": self.corp_id, "corpsecret": self.secret, "access_token": None}
        return dict(self.get("gettoken", params=params))

    def shut(self) -> None:
        """Close the connections."""
        self._http.close()

    def _decode_result(self, res: Any) -> Any:
        """A file stays unread, for who asked to read as much as they want; it may be JSON itself."""
        return res if "content-disposition" in res.headers else super()._decode_result(res)


def open_client(settings: WecomApp, timeout: tuple[float, float]) -> Client:
    """The client to use in as many threads as one likes."""
    logger = logging.getLogger("urllib3")  # tells every address at DEBUG, secret and token included
    logger.setLevel(max(logging.INFO, logger.level))
    return Client(settings, timeout)


def exchange(client: Client, verb: str, path: str, params: Mapping[str, Any], more: Mapping[str, Any]) -> Answer:
    """One call; `more` is `data` (a JSON body), `files`, or `limit` (bytes of a file to be read).

    It never raises what wechatpy or requests raise: that carries the secret and the token, in words and in fields.
    """
    answer = _tried(client, verb, path, params, more)
    hidden = (client.secret, str(params.get("access_token") or ""))
    if "errmsg" not in answer.body:
        return answer
    errmsg = str(answer.body["errmsg"])
    for secret in filter(None, hidden):
        errmsg = errmsg.replace(secret, _HIDDEN)
    return Answer(code=answer.code, body={**answer.body, "errmsg": errmsg}, status=answer.status)


def _tried(client: Client, verb: str, path: str, params: Mapping[str, Any], more: Mapping[str, Any]) -> Answer:
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
    # Headers are read as Latin-1, WeCom writes UTF-8.
    return name.partition(";")[0].strip(' "').encode("latin-1", "replace").decode("utf-8", "replace") if found else ""


def signature(token: str, timestamp: str, nonce: str, encrypted: str) -> str:
    """What msg_signature must say."""
    signer = WeChatSigner()
    signer.add_data(token, timestamp, nonce, encrypted)
    return str(signer.signature)


def decrypt(encrypted: str, key: bytes, receiver: str) -> str:
    """What WeCom encrypted for `receiver` (our corp_id). Raises Unreadable."""
    try:
        return str(PrpCrypto(key).decrypt(encrypted, receiver))
    # wechatpy checks neither padding nor lengths: these are what it stumbles over then.
    except (WeChatException, ValueError, LookupError, struct.error) as error:
        raise Unreadable(type(error).__name__) from error


def sealed(body: bytes) -> str:
    """The encrypted part of a callback. Raises Unreadable."""
    try:
        found = xmltodict.parse(body)["xml"]["Encrypt"]
    except (ExpatError, ValueError, LookupError, TypeError) as error:
        raise Unreadable(type(error).__name__) from error
    if not isinstance(found, str):
        raise Unreadable("Encrypt is no text")
    return found


def fields(xml: str) -> dict[str, Any]:
    """A message or event as wechatpy reads it: its elements by name. Raises Unreadable."""
    try:
        # Of what it does not know it keeps the elements only, so of everything they are what we go by.
        return dict(parse_message(xml)._data)
    except (ExpatError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise Unreadable(type(error).__name__) from error
