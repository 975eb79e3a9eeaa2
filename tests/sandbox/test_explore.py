from __future__ import annotations
import pytest
from tests.sandbox.test_hostile_pipeline import *
from tasks.core import nextflow

URLS = ["file:///etc/passwd", "FILE:///etc/passwd", "file://localhost/etc/passwd", "http://[::1", "http://h:99999/x.fq", "http://h:abc/x.fq",
 "http://ü.example.org/x", "http:///x.fq", "http://", "https://data.example.org/" + "x"*100_000, "https://data.example.org/a b.fq", "https://data.example.org/\x1b[2J.fq",
 "https://data.example.org/a%0Ab.fq", "https://data.example.org/a%00b.fq", "http://127.0.0.1:1/x.fq", "https://data.example.org/", "https://data.example.org/..", "https://data.example.org/../../x",
 "https://folder.example.org/../secret.txt", "https://folder.example.org/%2e%2e/secret.txt", "https://folder.example.org//etc/passwd", "https://folder.example.org/out", "https://folder.example.org/loop",
 "https://folder.example.org/pipe", "https://folder.example.org/", "https://data.example.org/tofile", "https://data.example.org/toftp", "https://data.example.org/tojar", "https://data.example.org/tobad", "https://data.example.org/round",
 "gs://b/x", "s3://", "s3://b", "s3:///x", "s3://B..b/x", "s3://a/../b", "ftp://", "ftp://127.0.0.1:1/a\r\nDELE x", "ftp://[x/y", "javascript://x/y", "https://data.example.org/{a", "https://data.example.org/" + "{a,b}"*20 ,
 "https://user:pw@data.example.org/none", "https://data.example.org@127.0.0.1:1/x", "http://127.0.0.1:1\\@data.example.org/x", "https://xn--a.example/x", "http://a..b/x", "http://"+"a"*300+"/x", "file:///proc/self/environ", "https://data.example.org/%ff.fq", "https://data.example.org/%", "a+b://x/y", "https://folder.example.org/a%00b", "http://0x7f.1:1/x","https://folder.example.org/"+"a/"*3000+"x", "ftp://127.0.0.1:1/x/..;/y", "\ud800"]

@pytest.mark.parametrize("number", range(len(URLS)))
def test_one(hostile, web, monkeypatch, number):
    import os
    url = URLS[number]
    monkeypatch.setattr(nextflow, "config", lambda *a, **k: {"params": {"input": f"{PUBLIC}sheet.csv"}})
    a = hostile.root/"allowed"
    (a/"out").symlink_to("../secret.txt"); (a/"loop").symlink_to("loop"); os.mkfifo(a/"pipe")
    web.redirects |= {"/tofile": f"file://{hostile.secret}", "/toftp": "ftp://127.0.0.1/x", "/tojar": "jar:file:///x!/y", "/tobad": "http://[::1", "/round": "/round"}
    try:
        web.files["/sheet.csv"] = table([["sample","fq"],["a",url]])
    except UnicodeEncodeError:
        web.files["/sheet.csv"] = b"sample,fq\na,\xff\n"
    hostile.run("stage")
    t=time.time()
    said = hostile.fault("mirror:data")
    print("@@", repr(url[:60]), f"{time.time()-t:.1f}", repr(said[:400]) if said else None)
